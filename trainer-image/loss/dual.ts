/**
 * A number with its derivatives by the two log-probabilities of a pair: forward-mode differentiation (Wengert 1964), so
 * that a loss is written once, as its formula, and no derivative by hand. Plain float64.
 */
export class Dual {
  readonly value: number;
  /** Derivatives by the chosen and the rejected answer's log-probability. */
  readonly chosen: number;
  readonly rejected: number;

  constructor(value: number, chosen = 0, rejected = 0) {
    this.value = value;
    this.chosen = chosen;
    this.rejected = rejected;
  }

  plus(other: Dual | number): Dual {
    const { value, chosen, rejected } = asDual(other);
    return new Dual(this.value + value, this.chosen + chosen, this.rejected + rejected);
  }

  minus(other: Dual | number): Dual {
    return this.plus(asDual(other).negated());
  }

  times(other: Dual | number): Dual {
    const factor = asDual(other);
    const along = (side: 'chosen' | 'rejected'): number => this[side] * factor.value + this.value * factor[side];
    return new Dual(this.value * factor.value, along('chosen'), along('rejected'));
  }

  negated(): Dual {
    return new Dual(-this.value, -this.chosen, -this.rejected);
  }

  squared(): Dual {
    return this.mapped(this.value ** 2, 2 * this.value);
  }

  exp(): Dual {
    return this.mapped(Math.exp(this.value), Math.exp(this.value));
  }

  /** exp(x) - 1, exact near 0. */
  expm1(): Dual {
    return this.mapped(Math.expm1(this.value), Math.exp(this.value));
  }

  sigmoid(): Dual {
    return this.mapped(sigmoid(this.value), sigmoid(this.value) * sigmoid(-this.value));
  }

  /** log sigmoid(x) = -log(1 + exp(-x)), without overflow for any x. */
  logSigmoid(): Dual {
    const { value } = this;
    return this.mapped(Math.min(value, 0) - Math.log1p(Math.exp(-Math.abs(value))), sigmoid(-value));
  }

  /** max(x, 0), with derivative 0 at 0 as torch has it. */
  relu(): Dual {
    return this.mapped(Math.max(this.value, 0), this.value > 0 ? 1 : 0);
  }

  /** min(x, bound), with derivative 1 at the bound as torch's clamp has it. */
  atMost(bound: number): Dual {
    return this.mapped(Math.min(this.value, bound), this.value <= bound ? 1 : 0);
  }

  /**
   * log(1 - exp(x)) of a log-probability x (Mächler 2012: each branch where it loses no digits). In float32 an answer's
   * log-probability can reach 0, or pass it by a rounding: it stays below.
   */
  log1mexp(): Dual {
    const value = Math.min(this.value, -1e-9);
    const result = value > -Math.LN2 ? Math.log(-Math.expm1(value)) : Math.log1p(-Math.exp(value));
    return this.mapped(result, -1 / Math.expm1(-value));
  }

  /** Chain rule: a function's value here and its slope. */
  private mapped(value: number, slope: number): Dual {
    return new Dual(value, this.chosen * slope, this.rejected * slope);
  }
}

const asDual = (x: Dual | number): Dual => (typeof x === 'number' ? new Dual(x) : x);

/** 1 / (1 + exp(-x)), exact in both tails. */
function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
