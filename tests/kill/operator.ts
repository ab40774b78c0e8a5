/** What an operator does: looks, and resumes what the breaker has paused. While things are being killed he may get no answer. */
import type { CampaignOut, Scene } from '../journey/scene.ts';

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class Operator {
  readonly #scene: Scene;
  readonly #campaign: string;
  /** Why the breaker had paused, each time he resumed. */
  readonly reasons: string[] = [];
  unanswered = 0;
  last: CampaignOut | undefined;

  constructor(scene: Scene, campaign: string) {
    this.#scene = scene;
    this.#campaign = campaign;
  }

  async look(): Promise<void> {
    try {
      const route = `/v1/campaigns/${this.#campaign}`;
      const seen = await this.#scene.api<CampaignOut & { pause_reason: string | null }>('GET', route);
      this.last = seen;
      if (seen.status !== 'paused') return;
      await this.#scene.api('POST', `${route}/resume`);
      this.reasons.push(seen.pause_reason ?? '');
    } catch (error) {
      if (!/answered 5\d\d|fetch failed/.test(String(error))) throw error;
      this.unanswered += 1;
    }
  }

  /** Raises the account's cap, as soon as the system answers again. @throws when it does not within two minutes */
  async raiseCap(cap: number): Promise<void> {
    for (const end = Date.now() + 120_000; ;) {
      try {
        return await this.#scene.api('PATCH', '/v1/account', { max_concurrent_calls: cap });
      } catch (error) {
        if (Date.now() > end) throw error;
        this.unanswered += 1;
      }
    }
  }

  /** Looks every second until `done`. @throws with where all stands, after `ms` real milliseconds */
  async until(done: () => boolean, ms: number, besides: () => object = () => ({})): Promise<void> {
    const end = Date.now() + ms;
    while (!done()) {
      if (Date.now() > end)
        throw new Error(`not in time: ${JSON.stringify([this.last, besides()])}\n${this.#scene.started.output()}`);
      await this.look();
      await nap(1000);
    }
  }
}
