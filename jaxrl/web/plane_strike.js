// The game: two seas, of which the agent strikes yours, and you the agent's.

const { size, placements, chances } = setting;
const PLANE_CELLS = placements[0].length;
const element = (id) => document.getElementById(id);
const kind = Object.keys(policy({ observation: new Float32Array(size * size) })).find((name) => name !== "action");
const score = { won: 0, lost: 0 };
let yours, theirs, over, said;

/** A placement, each as likely as where the agent was trained. */
function anyPlacement() {
  let left = Math.random();
  const placement = chances.findIndex((chance) => (left -= chance) < 0);
  return placement < 0 ? placements.length - 1 : placement;
}

/** A sea with a hidden plane: the state of the environment, and what is seen of it. */
function newSea(placement) {
  const { observation, ...state } = begin({ placement: [placement] });
  return { placement, state, board: observation, last: null };
}

function strike(sea, cell) {
  const { observation, terminated, ...state } = step({ ...sea.state, action: [cell] });
  Object.assign(sea, { state, board: observation, last: cell, finished: terminated[0] === 1 });
  return observation[cell] > 0;
}

const hits = (sea) => sea.board.filter((value) => value > 0).length;
const begun = () => theirs.last !== null;
const nameOf = (cell) => String.fromCharCode(65 + (cell % size)) + (Math.floor(cell / size) + 1);

function newGame() {
  yours = newSea(anyPlacement());
  theirs = newSea(anyPlacement());
  over = false;
  said = "Your turn: strike a cell of the agent’s sea.";
  draw();
}

/** Your strike, and the agent's answer. */
function play(cell) {
  if (over || theirs.board[cell] !== 0) return;
  said = `You ${strike(theirs, cell) ? "hit" : "missed"} at ${nameOf(cell)}. `;
  if (theirs.finished) {
    end("won", "You have found the plane: you win!");
  } else {
    const answer = policy({ observation: yours.board }).action[0];
    said += `The agent ${strike(yours, answer) ? "hit" : "missed"} at ${nameOf(answer)}. `;
    if (yours.finished) end("lost", "It has found your plane: the agent wins.");
    else said += "Your turn.";
  }
  draw();
}

function end(result, text) {
  over = true;
  score[result] += 1;
  said += text;
}

// Placing your plane, before the first strike.

/** The shape of a placement: its cells as if it lay in the upper left corner. */
function shapeOf(placement) {
  const { row, column } = corner(placement);
  return placements[placement].map((cell) => cell - row * size - column).join();
}

/** The first row and column of a placement. */
function corner(placement) {
  const cells = placements[placement];
  return { row: Math.min(...cells.map((cell) => Math.floor(cell / size))), column: Math.min(...cells.map((cell) => cell % size)) };
}

const shapes = [...new Set(placements.map((_, placement) => shapeOf(placement)))];

/** Of the placements of a shape the one whose cells are nearest to one. */
function nearest(shape, cell) {
  const apart = (placement) =>
    placements[placement].reduce((sum, other) => sum + (Math.floor(other / size) - Math.floor(cell / size)) ** 2 + ((other % size) - (cell % size)) ** 2, 0);
  const fitting = placements.map((_, placement) => placement).filter((placement) => shapeOf(placement) === shape);
  return fitting.reduce((best, placement) => (apart(placement) < apart(best) ? placement : best));
}

function place(placement, text) {
  if (begun()) return;
  yours = newSea(placement);
  said = `${text} Your turn: strike a cell of the agent’s sea.`;
  draw();
}

function middle(placement) {
  const { row, column } = corner(placement);
  return (row + 1) * size + column + 1;
}

function turn() {
  const next = shapes[(shapes.indexOf(shapeOf(yours.placement)) + 1) % shapes.length];
  place(nearest(next, middle(yours.placement)), "Your plane is turned.");
}

// Drawing.

/** The cells of a board, made once; a press of one calls a function of its number. */
function makeBoard(board, press) {
  board.style.setProperty("--size", size);
  const label = (text, role) => {
    const span = document.createElement("span");
    span.className = "label";
    span.textContent = text;
    if (role) span.setAttribute("role", role);
    return span;
  };
  const row = (parts) => {
    const div = document.createElement("div");
    div.setAttribute("role", "row");
    div.append(...parts);
    board.append(div);
  };
  const columns = Array.from({ length: size }, (_, column) => column);
  row([label("", ""), ...columns.map((column) => label(nameOf(column)[0], "columnheader"))]);
  const cells = columns.flatMap((line) => {
    const made = columns.map((column) => {
      const cell = document.createElement("button");
      cell.type = "button";
      cell.className = "cell";
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = line + column === 0 ? 0 : -1;
      cell.addEventListener("click", () => press(line * size + column));
      return cell;
    });
    row([label(line + 1, "rowheader"), ...made]);
    return made;
  });
  board.addEventListener("keydown", (event) => moveFocus(event, cells));
  board.addEventListener("focusin", (event) => cells.forEach((cell) => (cell.tabIndex = cell === event.target ? 0 : -1)));
  return cells;
}

function moveFocus(event, cells) {
  const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
  const from = cells.indexOf(event.target);
  if (from < 0 || (down === 0 && right === 0)) return;
  event.preventDefault();
  const inside = (value) => Math.min(Math.max(value, 0), size - 1);
  cells[inside(Math.floor(from / size) + down) * size + inside((from % size) + right)].focus();
}

function drawBoard(cells, sea, { shown, disabled, heat }) {
  const plane = new Set(shown ? placements[sea.placement] : []);
  cells.forEach((cell, number) => {
    const value = sea.board[number];
    const state = value > 0 ? "hit" : value < 0 ? "miss" : "untried";
    cell.dataset.state = state;
    cell.toggleAttribute("data-plane", plane.has(number));
    cell.toggleAttribute("data-last", sea.last === number);
    cell.setAttribute("aria-disabled", disabled || (state !== "untried" && cells === theirCells));
    const warmth = heat && state === "untried" ? heat.warmth[number] : 0;
    cell.style.setProperty("--heat", warmth.toFixed(3));
    cell.toggleAttribute("data-strong", warmth > 0.55);
    cell.textContent = heat && state === "untried" ? heat.text[number] : "";
    const worth = heat && state === "untried" ? `, ${heat.label[number]}` : "";
    cell.setAttribute("aria-label", `${nameOf(number)}, ${state}${plane.has(number) ? ", plane" : ""}${worth}`);
  });
}

/** How much the agent favours each untried cell: from 0 to 1, and as text. */
function heatMap() {
  const worth = policy({ observation: yours.board })[kind];
  const untried = worth.filter((_, cell) => yours.board[cell] === 0);
  const probable = kind === "probabilities";
  const [least, most] = [probable ? 0 : Math.min(...untried), Math.max(...untried)];
  const percent = (value) => Math.round(100 * value);
  return {
    warmth: Array.from(worth, (value) => (most > least ? (value - least) / (most - least) : 0)),
    text: Array.from(worth, (value) => (probable && percent(value) > 0 ? `${percent(value)}` : "")),
    label: Array.from(worth, (value) => (probable ? `agent ${percent(value)} percent` : `agent values ${value.toFixed(2)}`)),
  };
}

function draw() {
  const heat = element("heat").checked && !over ? heatMap() : null;
  drawBoard(theirCells, theirs, { shown: over, disabled: over, heat: null });
  drawBoard(yourCells, yours, { shown: true, disabled: begun(), heat });
  element("theirs-hits").textContent = `You have hit ${hits(theirs)} of ${PLANE_CELLS}`;
  element("yours-hits").textContent = `The agent has hit ${hits(yours)} of ${PLANE_CELLS}`;
  element("status").textContent = said;
  element("placing").hidden = begun();
  for (const name of ["won", "lost"]) element(name).textContent = score[name];
}

const theirCells = makeBoard(element("theirs"), play);
const yourCells = makeBoard(element("yours"), (cell) => place(nearest(shapeOf(yours.placement), cell), `Your plane is around ${nameOf(cell)}.`));
element("new").addEventListener("click", newGame);
element("turn").addEventListener("click", turn);
element("shuffle").addEventListener("click", () => place(anyPlacement(), "Your plane has another place."));
element("heat").addEventListener("change", draw);
element("places").textContent = placements.length;
newGame();
