// What programs are made of. Arrays are flat, in row-major order; a result is rounded to the numbers of its array.

/** The bytes of text in base64. */
function decode(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
}

/** Numbers as an array of a type. */
function typed(Type, numbers) {
  return numbers instanceof Type ? numbers : Type.from(numbers);
}

/** f of every element of up to three arrays; those of one element are repeated. */
function each(Type, size, f, a, b = a, c = a) {
  const result = new Type(size);
  const stepA = a.length === 1 ? 0 : 1;
  const stepB = b.length === 1 ? 0 : 1;
  const stepC = c.length === 1 ? 0 : 1;
  for (let i = 0; i < size; i += 1) result[i] = f(a[i * stepA], b[i * stepB], c[i * stepC]);
  return result;
}

/** The elements at indices of arrays, one behind the other; 0 where an index is negative. */
function take(Type, indices, ...arrays) {
  const joined = arrays.length === 1 ? arrays[0] : arrays.flatMap((array) => Array.from(array));
  return Type.from(indices, (index) => (index < 0 ? 0 : joined[index]));
}

/** Products of the rows of [batch, rows, length] with those of [batch, columns, length]: [batch, rows, columns]. */
function dot(Type, batch, rows, columns, length, left, right) {
  const result = new Type(batch * rows * columns);
  for (let row = 0; row < batch * rows; row += 1) {
    const first = Math.floor(row / rows) * columns;
    for (let column = 0; column < columns; column += 1) {
      let sum = 0;
      for (let i = 0, l = row * length, r = (first + column) * length; i < length; i += 1) sum += left[l + i] * right[r + i];
      result[row * columns + column] = sum;
    }
  }
  return result;
}

/** f over each run of elements, from an initial value on. */
function reduce(Type, size, length, f, initial, array) {
  return Type.from({ length: size }, (_, i) => array.subarray(i * length, (i + 1) * length).reduce(f, initial));
}

/** Slices of a table from where starts, whole numbers [count, axes], say; they are kept inside by limits. */
function lookup(Type, offsets, rows, strides, limits, table, starts) {
  const axes = strides.length;
  const place = (row) =>
    strides.reduce((sum, stride, axis) => sum + stride * Math.min(Math.max(starts[row * axes + axis], 0), limits[axis]), 0);
  return Type.from(offsets, (offset, i) => table[offset + place(rows[i])]);
}
