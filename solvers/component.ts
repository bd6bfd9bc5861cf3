/** A flat position as an index into a shape. */
export function indexOf(position: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  let rest = position;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return index;
}

/** `[1, 0]`: how a component is named in messages. */
export const formatComponent = (position: number, shape: readonly number[]): string =>
  `[${indexOf(position, shape).join(', ')}]`;
