// Two carts side by side: the agent's, and yours.

const { tau, x_limit: xLimit, theta_limit: thetaLimit, max_steps: maxSteps } = setting;
const PIXELS = 240 / xLimit; // A metre, so that the posts are well inside the picture.
const LONGEST_POLE = 190;
const RESTART_SECONDS = 1;
const element = (id) => document.getElementById(id);
const physics = { length: [setting.length], gravity: [setting.gravity] };
const pressed = new Set();
let paused = matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A cart in its scene, with a function that gives the next push: 0 to the left, 1 to the right. */
function newCart(id, choose) {
  const scene = element(id);
  scene.append(element("drawing").content.cloneNode(true));
  const part = (name) => scene.querySelector(`[data-part=${name}]`);
  for (const post of scene.querySelectorAll("[data-post]")) {
    post.setAttribute("transform", `translate(${Number(post.dataset.post) * xLimit * PIXELS} 0)`);
  }
  const parts = { cart: part("cart"), pole: part("pole"), rod: part("rod"), push: part("push") };
  return { id, scene, choose, parts, best: 0, episodes: 0, wait: 0, ...start() };
}

/** What an episode begins with: a state near the middle and upright, as the environment draws it. */
function start() {
  const near = () => [Math.fround((Math.random() - 0.5) * 0.1)];
  return { state: { state_0: near(), state_1: near(), state_2: near(), state_3: near() }, steps: 0, action: null, over: false };
}

const observed = ({ state_0, state_1, state_2, state_3 }) => [state_0[0], state_1[0], state_2[0], state_3[0]];

function advance(cart) {
  cart.action = cart.choose(cart);
  const { observation, terminated, ...state } = step({ ...cart.state, ...physics, action: [cart.action] });
  cart.state = state;
  cart.steps += 1;
  cart.over = terminated[0] === 1 || cart.steps >= maxSteps;
  if (!cart.over) return;
  cart.best = Math.max(cart.best, cart.steps);
  cart.episodes += 1;
  cart.wait = RESTART_SECONDS;
}

/** While neither key is pressed, pushes alternate, so that they cancel out. */
function chosenByYou(cart) {
  const last = [...pressed].pop();
  return last ?? 1 - (cart.action ?? 0);
}

const agent = newCart("agent", (cart) => policy({ observation: observed(cart.state) }).action[0]);
const you = Object.assign(newCart("you", chosenByYou), { waiting: true });

// Time.

let before = null;
let owed = 0;

function frame(now) {
  const seconds = before === null ? 0 : Math.min((now - before) / 1000, 0.1);
  before = now;
  if (!paused) pass(seconds);
  requestAnimationFrame(frame);
}

/** Lets time pass, in steps of the environment. */
function pass(seconds) {
  owed += (seconds * Number(element("speed").value)) / tau;
  while (owed >= 1) {
    owed -= 1;
    if (agent.over) rest(agent);
    else advance(agent);
    if (!you.waiting) playYou();
  }
  [agent, you].forEach(draw);
}

function rest(cart) {
  cart.wait -= tau;
  if (cart.wait <= 0) Object.assign(cart, start());
}

function playYou() {
  advance(you);
  if (!you.over) return;
  you.waiting = true;
  const far = you.steps >= maxSteps;
  say(far ? `You have kept it up for all ${maxSteps} steps. Push to go again.` : `It fell after ${you.steps} steps. Push to try again.`);
}

/** Your hand on a key or a button; the first push starts an episode. */
function push(direction, down) {
  pressed.delete(direction);
  if (down) pressed.add(direction);
  ["left", "right"].forEach((id, way) => element(id).toggleAttribute("data-pressed", pressed.has(way)));
  if (!down || !you.waiting) return;
  Object.assign(you, start(), { waiting: false });
  if (paused) setPaused(false);
  say("Keep it upright!");
}

function say(text) {
  element("status").textContent = text;
}

// Drawing.

function draw(cart) {
  const { parts, action } = cart;
  const [x, , theta] = observed(cart.state);
  parts.cart.setAttribute("transform", `translate(${(x * PIXELS).toFixed(2)} 0)`);
  parts.pole.setAttribute("transform", `rotate(${((theta * 180) / Math.PI).toFixed(2)} 0 -34)`);
  parts.rod.setAttribute("y2", -34 - Math.min(2 * physics.length[0] * PIXELS, LONGEST_POLE));
  parts.push.setAttribute("transform", action === 0 ? "scale(-1 1)" : "");
  parts.push.setAttribute("visibility", action === null || cart.over ? "hidden" : "visible");
  cart.scene.toggleAttribute("data-over", cart.over);
  element(`${cart.id}-steps`).textContent = cart.steps;
  element(`${cart.id}-record`).textContent = cart.episodes ? `, best ${cart.best} of ${maxSteps}` : "";
}

// Settings.

const SLIDERS = {
  length: { least: 0.1, most: 1.1, text: (value) => `${(2 * value).toFixed(2)} m` },
  gravity: { least: 0, most: 30, text: (value) => `${value.toFixed(1)} m/s²` },
};

function applySliders() {
  for (const [name, { text }] of Object.entries(SLIDERS)) {
    const value = Number(element(name).value);
    physics[name] = [Math.abs(value - setting[name]) <= Number(element(name).step) / 2 ? setting[name] : value];
    element(`${name}-value`).textContent = text(physics[name][0]);
  }
  element("speed-value").textContent = `${Math.round(100 * Number(element("speed").value))} %`;
  [agent, you].forEach(draw);
}

function asTrained() {
  for (const [name, { least, most }] of Object.entries(SLIDERS)) {
    const slider = element(name);
    // What the agent was trained with must be within half a step of a place of the slider.
    const unit = Number(slider.step);
    slider.min = Math.floor(Math.min(least, setting[name]) / unit) * unit;
    slider.max = Math.ceil(Math.max(most, setting[name]) / unit) * unit;
    slider.value = setting[name];
  }
  applySliders();
}

function setPaused(value) {
  paused = value;
  before = null;
  element("pause").textContent = paused ? "Go on" : "Pause";
  element("pause").setAttribute("aria-pressed", paused);
}

const KEYS = { ArrowLeft: 0, a: 0, A: 0, ArrowRight: 1, d: 1, D: 1 };

function onKey(event, down) {
  const direction = KEYS[event.key];
  // An arrow moves a slider that has the focus.
  if (direction === undefined || event.ctrlKey || event.metaKey || event.altKey || event.target.type === "range") return;
  event.preventDefault();
  if (!event.repeat) push(direction, down);
}

document.addEventListener("keydown", (event) => onKey(event, true));
document.addEventListener("keyup", (event) => onKey(event, false));
window.addEventListener("blur", () => [0, 1].forEach((direction) => push(direction, false)));
["left", "right"].forEach((id, direction) => {
  const button = element(id);
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    push(direction, true);
  });
  for (const name of ["pointerup", "pointercancel"]) button.addEventListener(name, () => push(direction, false));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  for (const [name, down] of [["keydown", true], ["keyup", false]]) {
    button.addEventListener(name, (event) => (event.key === " " || event.key === "Enter") && !event.repeat && push(direction, down));
  }
});
for (const name of ["length", "gravity", "speed"]) element(name).addEventListener("input", applySliders);
element("trained").addEventListener("click", asTrained);
element("pause").addEventListener("click", () => setPaused(!paused));
element("limit").textContent = maxSteps;
say("Push left or right to begin.");
setPaused(paused);
asTrained();
requestAnimationFrame(frame);
