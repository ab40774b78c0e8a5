/** Seeded randomness: the same seed draws the same numbers for ever. */

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform in [from, to). */
  between(from: number, to: number): number;
  /** A whole number from `from` to `to`, both included. */
  int(from: number, to: number): number;
  chance(share: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** A UUID of version 4. */
  uuid(): string;
}

/** sfc32, seeded through a splitmix so that neighbouring seeds have nothing in common. */
export const createRandom = (seed: number): Random => {
  let mixed = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) | 0;
  const mix = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let z = mixed;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return z ^ (z >>> 16);
  };
  let [a, b, c, d] = [mix(), mix(), mix(), 1];
  const bits = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i += 1) bits();
  const next = (): number => bits() / 2 ** 32;
  const between = (from: number, to: number): number => from + next() * (to - from);
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  const hex = (): string => bits().toString(16).padStart(8, '0');
  return {
    next,
    between,
    int,
    chance: (share) => next() < share,
    pick: (list) => list[int(0, list.length - 1)],
    uuid() {
      const digits = `${hex()}${hex()}${hex()}${hex()}`;
      const variant = '89ab'[Number.parseInt(digits[16], 16) & 3];
      return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-${variant}${digits.slice(17, 20)}-${digits.slice(20)}`;
    },
  };
};
