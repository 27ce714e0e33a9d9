"""What reaches the disk: whole or not at all, and checked when it comes back."""

from jaxrl.storage.atomic import clear_leftovers, is_leftover, new_file, new_folder, sync, write_file

__all__ = ["clear_leftovers", "is_leftover", "new_file", "new_folder", "sync", "write_file"]
