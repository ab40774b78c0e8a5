/** What a benchmark is, and what it says. */
import type { Line } from './measure.ts';
import type { Server } from './server.ts';

export interface Options {
  /** Rounds of which medians are taken. */
  rounds: number;
  /** Jobs of one round of a queue. */
  jobs: number;
  /** Rows of the import. */
  rows: number;
  /** The longest queue that is claimed from. */
  queued: number;
}

export interface Outcome {
  /** One for each target. */
  lines: Line[];
  /** The absolute figures behind them, one a line. */
  detail: string[];
}

export interface Bench {
  name: string;
  about: string;
  run(server: Server, options: Options): Promise<Outcome>;
}
