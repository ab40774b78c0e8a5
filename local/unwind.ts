/** Thrown inside a start that was told to stop meanwhile. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

/** Undoes a start in reverse order, wherever it had got to. */
export class Unwind {
  readonly #steps: (() => Promise<void> | void)[] = [];
  #run: Promise<void> | undefined;

  /**
   * Remembers how to undo what was just done. When the unwinding is already over, undoes it at once.
   * @throws {Interrupted} so that the start goes no further
   */
  async add(undo: () => Promise<void> | void): Promise<void> {
    if (this.#run) {
      await undo();
      throw new Interrupted('stopped while starting');
    }
    this.#steps.push(undo);
  }

  /** @throws {Interrupted} when the unwinding has begun */
  check(): void {
    if (this.#run) throw new Interrupted('stopped while starting');
  }

  /** Undoes everything, each step even when another failed. Safe to call twice. */
  run(): Promise<void> {
    return (this.#run ??= this.#undoAll());
  }

  async #undoAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let undo = this.#steps.pop(); undo; undo = this.#steps.pop()) {
      try {
        await undo();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `not everything stopped: ${failures.map(String).join('; ')}`);
  }
}
