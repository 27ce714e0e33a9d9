// A policy as a module. It is called with the numbers of an observation, nested or flat; with an object of such by
// name where there are several inputs, as `inputs` lists them.

/** What the policy is, and where it comes from. */
export const about = {{about}};

/** The shape and the type of each input, by name. */
export const inputs = {{inputs}};

/** What the policy makes of an observation, as about.output says: numbers, flat. */
export function outputs(observation) {
  return evaluate(checked(observation))[{{output}}];
}

/** The deterministic action: a number where actions are discrete, else an array, flat. */
export function act(observation) {
  const { action } = evaluate(checked(observation));
  return {{single}} ? action[0] : action;
}

const evaluate = {{program}};

function checked(given) {
  const names = Object.keys(inputs);
  const several = names.length > 1;
  if (several && (given === null || typeof given !== "object" || Array.isArray(given))) {
    throw new TypeError(`give an object with the arrays ${names.join(", ")}`);
  }
  return Object.fromEntries(names.map((name) => [name, numbers(name, several ? given[name] : given)]));
}

function numbers(name, given) {
  const { shape } = inputs[name];
  const size = shape.reduce((product, length) => product * length, 1);
  const flat = ArrayBuffer.isView(given) ? Array.from(given) : [given].flat(Infinity).map(Number);
  if (flat.length !== size || !flat.every(Number.isFinite)) {
    throw new RangeError(`${name} must be ${size} finite numbers, of the shape [${shape}]`);
  }
  return flat;
}
