/** Keeps the worker alive: writes its variables down, starts wrangler, and starts it again when it or workerd was killed. */
import fs from 'node:fs';
import type { Unwind } from './unwind.ts';
import { dotenvLine, launchWrangler, platformState, type Wrangler } from './wrangler.ts';

export interface WorkerOptions {
  port: number;
  /** Everything the worker's environment holds. */
  variables: Readonly<Record<string, string>>;
  /** A directory for what wrangler writes, and the 0600 file in which it reads the variables. */
  stateDir: string;
  variablesFile: string;
  log: (text: string) => void;
  /** Called with the process group's id each time it starts. */
  started: (group: number) => void;
  /** Called when it cannot be kept alive. */
  gaveUp: (reason: string) => void;
  /** Is given the way to stop it before it answers, so that a start can be broken off. */
  unwind: Unwind;
}

/** Deaths in a row, each within {@link SHORT_LIFE_MS} real milliseconds, after which it is given up. */
const MAX_DEATHS = 5;
const SHORT_LIFE_MS = 15_000;
/** How long wrangler may take to bring a crashed workerd back by itself, in real milliseconds. */
const RECOVERY_MS = 3000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the worker answers, whatever it says; false when it did not in time or `over` holds. */
const answers = async (url: string, ms: number, over: () => boolean): Promise<boolean> => {
  const end = Date.now() + ms;
  while (Date.now() < end && !over()) {
    try {
      const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(Math.max(1, end - Date.now())) });
      await answer.arrayBuffer();
      if (answer.headers.has('x-boot-id')) return true;
    } catch (error) {
      if (!(error instanceof Error)) throw error; // not up yet, or held by a wrangler that waits for workerd
    }
    await pause(50);
  }
  return false;
};

class Keeper {
  readonly #options: WorkerOptions;
  readonly #url: string;
  #current: Wrangler | undefined;
  #since = 0;
  #deaths = 0;
  #ending = false;
  #mending = false;
  #tail: string[] = [];

  constructor(options: WorkerOptions, url: string) {
    this.#options = options;
    this.#url = url;
  }

  get ending(): boolean {
    return this.#ending;
  }
  get deaths(): number {
    return this.#deaths;
  }
  /** Why it does not start, in one line: the last error that was printed, else the last line. */
  get lastWords(): string {
    const errors = this.#tail.filter((line) => /\bERROR\b/.test(line)).map((line) => line.replace(/^.*\[ERROR\]\s*/, ''));
    return errors.at(-1) ?? this.#tail.at(-1) ?? 'it printed nothing';
  }

  launch(): void {
    this.#since = Date.now();
    const { port, stateDir, variablesFile, started } = this.#options;
    const run = launchWrangler({ port, stateDir, variablesFile, line: (line) => this.#heard(line) });
    this.#current = run;
    started(run.group);
    void run.ended.then((reason) => this.#replace(run, reason));
  }

  async stop(): Promise<void> {
    this.#ending = true;
    await this.#current?.dismiss();
    fs.rmSync(this.#options.variablesFile, { force: true });
  }

  #heard(line: string): void {
    if (line.trim() !== '') this.#tail = [...this.#tail, line.trim()].slice(-20);
    this.#options.log(`${line}\n`);
    if (line.includes('The Workers runtime crashed')) void this.#mend();
  }

  /** wrangler restarts a crashed workerd, but when it was the one that listens, what it restarts never answers. */
  async #mend(): Promise<void> {
    const run = this.#current;
    if (this.#mending || !run) return;
    this.#mending = true;
    const recovered = await answers(this.#url, RECOVERY_MS, () => this.#ending);
    this.#mending = false;
    if (!recovered) await this.#replace(run, 'the worker did not come back by itself');
  }

  async #replace(run: Wrangler, reason: string): Promise<void> {
    if (this.#ending || this.#current !== run) return;
    this.#current = undefined;
    this.#options.log(`${reason}\n`);
    this.#deaths = Date.now() - this.#since < SHORT_LIFE_MS ? this.#deaths + 1 : 1;
    await run.dismiss(200); // nothing that it might still save
    if (this.#deaths >= MAX_DEATHS)
      return this.#options.gaveUp(`the worker died ${this.#deaths} times in a row: ${this.lastWords}`);
    if (!this.#ending) this.launch();
  }
}

/**
 * Starts the worker and keeps it alive until the unwinding.
 * @returns its address
 * @throws {Error} when it does not answer within two minutes, or ends before it does
 */
export const startWorker = async (options: WorkerOptions): Promise<string> => {
  const url = `http://127.0.0.1:${options.port}`;
  fs.mkdirSync(options.stateDir, { recursive: true });
  // The next due instant that it kept may belong to a clock that showed a later time (`--now`); without one it looks for itself.
  fs.rmSync(platformState(options.stateDir), { recursive: true, force: true });
  fs.rmSync(options.variablesFile, { force: true });
  const lines = Object.entries(options.variables).map(([name, value]) => dotenvLine(name, value));
  fs.writeFileSync(options.variablesFile, lines.join(''), { mode: 0o600 });
  const keeper = new Keeper(options, url);
  keeper.launch();
  await options.unwind.add(() => keeper.stop());
  if (!(await answers(url, 120_000, () => keeper.deaths > 0 || keeper.ending))) {
    options.unwind.check();
    throw new Error(`the worker did not start: ${keeper.lastWords}`);
  }
  return url;
};
