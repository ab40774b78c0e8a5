/** One seed from its first request to the end of everything: faults first, then calm, in which all must come to its end. */
import { onSweep } from '../../functions/campaign-complete.ts';
import { onTick } from '../../functions/dispatch.ts';
import { unlessAsleep } from '../../functions/sleeper.ts';
import type { Config } from '../../lib/env.ts';
import { withInstantCrypto } from './crypto.ts';
import type { SimDatabase } from './database.ts';
import type { Counts } from './faults.ts';
import { judgeAcknowledged, judgeDial, judgeMail, judgeUnknown } from './judge.ts';
import { DAY, HOUR, Kernel, MINUTE, SECOND } from './kernel.ts';
import { Ledger } from './ledger.ts';
import { MailWorld, type Accepted } from './mail-world.ts';
import { createPeople } from './people.ts';
import { forgedRequest, webhookRequest } from './phone-provider.ts';
import { PhoneWorld, type Dial, type Execution, type Step } from './phone-world.ts';
import { createPlatform, type Platform } from './platform.ts';
import { createRandom, type Random } from './random.ts';
import { clocksChange, drawBeginning, drawScenario, type Scenario } from './scenario.ts';
import type { Shared } from './session.ts';
import { isTerminal, LEAD_FINAL } from './transitions.ts';

export interface Outcome {
  seed: number;
  violations: string[];
  /** Of everything that happened. */
  digest: string;
  statements: number;
  virtualHours: number;
  faults: Counts;
  seen: Counts;
  lastEvents: string[];
}

/** A provider repeats what was not answered 2xx after so many seconds. */
const REPEATS = [1, 5, 30, 120];
const UNANSWERED = 30 * SECOND;
const HORIZON = 30 * DAY;
/** Statements after which a seed is taken for one that never rests. */
const RESTLESS = 15_000;
/** Times that people come back to what stopped in calm weather. */
const MENDS = 20;

const ADMIN_KEY = 'x'.repeat(16);
const configOf = (systemCap: number): Config => ({
  databaseUrl: 'postgres://nowhere',
  adminKey: ADMIN_KEY,
  publicUrl: 'https://ringleader.test',
  secretsKey: '0'.repeat(64),
  postmarkServerToken: 'token',
  mailFrom: 'calls@example.com',
  summaryEnabled: true,
  sentryDsn: undefined,
  systemMaxConcurrentCalls: systemCap,
  postmarkWebhookSecret: undefined,
  slowQueryMs: 1000,
  providerBaseUrls: { bolna: '', vapi: '', retell: '', twilio: '', elevenlabs: '' },
  postmarkBaseUrl: '',
});

/** Pushes the provider's events at the worker, with all that may become of them on the way. */
const connectWebhooks = (kernel: Kernel, world: PhoneWorld, platform: Platform): void => {
  const { random, faults } = kernel;
  const deliver = (execution: Execution, step: Step, repeats: readonly number[]): void => {
    let known = false;
    const again = (): void => {
      const [wait, ...rest] = repeats;
      if (wait !== undefined) kernel.after(wait * SECOND, () => deliver(execution, step, rest));
    };
    kernel.after(UNANSWERED, () => {
      if (!known) again();
      known = true;
    });
    const push = async (): Promise<void> => {
      const { status } = await platform.ask('webhook', webhookRequest(execution, step, Math.round(kernel.now)));
      if (status < 300) {
        execution.acknowledged.add(step.word);
        judgeAcknowledged(platform.shared.ledger, execution);
      } else if (!known) again();
      known = true;
    };
    void push();
  };
  const forge = async (execution: Execution): Promise<void> => {
    const { status } = await platform.ask('forger', forgedRequest(random, execution, Math.round(kernel.now)));
    if (status !== 401 && status < 500) platform.shared.ledger.violated(`#6 a forged webhook was answered ${status}`);
  };
  world.onEvent = (execution, step) => {
    if (!execution.steps.includes(step)) return;
    if (faults.hit('webhook_forged')) kernel.after(random.between(10, 800), () => void forge(execution));
    if (execution.silent || faults.hit('webhook_lost')) return;
    const copies = faults.hit('webhook_tripled') ? 3 : 1;
    for (let i = 0; i < copies; i += 1) {
      let delay = execution.behind + random.between(10, 800);
      if (faults.hit('webhook_reordered')) delay += random.between(0, 60) * SECOND;
      if (faults.hit('webhook_late')) delay += random.between(1, 20) * MINUTE;
      kernel.after(delay, () => deliver(execution, step, REPEATS));
    }
  };
};

interface Crons {
  /** Entries of the queue that are crons to come. */
  planned: number;
  /** True when the last tick found nothing due for ever, and nobody woke the next. */
  asleep(): boolean;
}

/** Fires both crons at every whole minute at which the store might let them through; the minutes between are skipped unseen. */
const startCrons = (kernel: Kernel, platform: Platform): Crons => {
  const { random, faults } = kernel;
  let next = Infinity;
  let idle = false;
  const crons: Crons = { planned: 0, asleep: () => idle && platform.due !== null && platform.due > kernel.now + HOUR };
  const runTick = (): void =>
    platform.fire('tick', (called) =>
      unlessAsleep(called.store, called, async (invocation) => {
        const due = await onTick(invocation);
        idle = due === null;
        return due;
      }),
    );
  const runSweep = (): void => platform.fire('sweep', (called) => unlessAsleep(called.store, called, onSweep));
  const fire = (run: () => void): void => {
    if (faults.hit('cron_missed')) return;
    run();
    if (faults.hit('cron_doubled')) run();
    if (faults.hit('cron_overlapping')) kernel.after(random.between(0, 20) * SECOND, run);
  };
  const plan = (): void => {
    const due = platform.due ?? 0;
    // Clocks differ by up to 20 s: the first firing that could find it due.
    const at = Math.ceil(Math.max(kernel.now + 1, due - 20 * SECOND) / MINUTE) * MINUTE;
    if (at >= next) return;
    next = at;
    crons.planned += 1;
    kernel.after(at - kernel.now, () => {
      crons.planned -= 1;
      if (next !== at) return;
      next = Infinity;
      if (platform.due === null || platform.due <= at + 20 * SECOND) {
        fire(runTick);
        if ((at / MINUTE) % 5 === 0) fire(runSweep);
      }
      plan();
    });
  };
  platform.onDue = plan;
  plan();
  return crons;
};

/** What is still open; empty when everything has come to its end. */
const openEnds = (ledger: Ledger): string[] => {
  const open: string[] = [];
  for (const campaign of ledger.campaigns.values()) {
    if (campaign.settledAt === null) open.push(`a campaign is ${campaign.status}`);
  }
  for (const lead of ledger.leads.values()) if (!LEAD_FINAL.has(lead.status)) open.push(`a lead is ${lead.status}`);
  for (const call of ledger.calls.values()) {
    if (!isTerminal(call.status)) open.push(`a call is ${call.status}`);
    else if (call.analysisDueAt !== null) open.push('an analysis is awaited');
  }
  for (const mail of ledger.notifications.values()) {
    if (mail.status === 'pending' || mail.status === 'sending') open.push(`a mail is ${mail.status}`);
  }
  return [...new Set(open)];
};

/** What must be true when all is over. */
const judgeEnd = (ledger: Ledger, world: PhoneWorld, mails: MailWorld, platform: Platform): void => {
  for (const call of ledger.calls.values()) {
    const execution = world.byAttempt.get(call.id);
    if (execution && call.disposition !== null && call.disposition !== 'unknown' && call.disposition !== execution.truth) {
      ledger.violated(`#6 a call ended ${call.disposition}, in truth it was ${execution.truth}`);
    }
    if (execution && call.disposition === null) ledger.violated('#9 a call was made that counts as none');
    if (!execution && call.disposition === 'completed') ledger.violated('#6 a call completed that was never made');
  }
  for (const lead of ledger.leads.values()) {
    const counted = [...ledger.calls.values()].filter(
      (call) => call.lead === lead.id && call.placingAt !== null && call.disposition !== null,
    );
    const invalid = lead.status === 'invalid' ? 1 : 0;
    if (lead.attempts !== counted.length - invalid) {
      ledger.violated(`#9 a lead counts ${lead.attempts} attempts, ${counted.length - invalid} were made`);
    }
  }
  for (const mail of ledger.notifications.values()) {
    const times = mails.accepted.filter((one) => one.notification === mail.id).length;
    if (mail.status === 'sent' && times === 0) ledger.violated('#7 a mail counts as sent that was never accepted');
    if (['skipped'].includes(mail.status) && times > (ledger.askedAgain.get(mail.id) ?? 0))
      ledger.violated('#7 a skipped mail was sent');
    const reported = [...platform.reports.keys()].some((key) => key.endsWith(mail.id));
    if ((mail.status === 'failed' || mail.status === 'unknown') && !reported) {
      ledger.violated(`#7 a mail is ${mail.status} and nobody was told`);
    }
    if (mail.status !== 'sent' && mail.reason === null) ledger.violated(`#7 a mail is ${mail.status} without a reason`);
  }
};

export interface Play {
  seed: number;
  kernel: Kernel;
  scenario: Scenario;
  /** Whether there is a time of faults and of people who interfere before the calm. */
  foul: boolean;
  /** What becomes of a call, as its provider draws it; from the kernel's randomness when absent. */
  fateOf?: (dial: Dial, ledger: Ledger) => Random;
}
export interface Played {
  outcome: Outcome;
  ledger: Ledger;
  mails: readonly Accepted[];
}

/** Plays a scenario on an emptied database. Never throws for what the product does: that is a violation. */
export const play = async (database: SimDatabase, { seed, kernel, scenario, foul, fateOf }: Play): Promise<Played> => {
  const ledger = new Ledger(kernel, scenario.systemCap);
  const shared: Shared = { kernel, database, ledger, readOnlyUntil: 0, changed: new Map(), statements: 0 };
  const world = new PhoneWorld(kernel, scenario.answersWithin, fateOf && ((dial) => fateOf(dial, ledger)));
  const mails = new MailWorld(kernel);
  const platform = createPlatform({ shared, world, mails, config: configOf(scenario.systemCap) });
  const people = createPeople(kernel, platform, ADMIN_KEY, scenario);
  world.onDial = (dial) => judgeDial(kernel, ledger, world, dial);
  world.onTwice = () => ledger.violated('#2 the provider was asked twice for one attempt');
  mails.onMail = (accepted) => judgeMail(ledger, accepted, mails.accepted);
  connectWebhooks(kernel, world, platform);

  const restore = withInstantCrypto(kernel.random);
  const escaped = (error: unknown): void => ledger.violated(`#12 nobody caught: ${String(error)}`);
  process.on('unhandledRejection', escaped);
  try {
    await database.empty();
    kernel.faults.on = false;
    await people.arrive();
    kernel.faults.on = foul;
    const calmAt = foul ? kernel.now + kernel.random.between(0.3, 3) * HOUR : kernel.now;
    if (foul) people.interfere(calmAt);
    ledger.onOffered = (call, by) => people.meddle(call, by);
    ledger.onKnown = (call) => {
      const execution = world.byAttempt.get(call.id);
      if (execution) judgeAcknowledged(ledger, execution);
    };
    ledger.onUnknown = (call, by) => judgeUnknown(kernel, ledger, world, calmAt, call, by);
    kernel.after(calmAt - kernel.now, () => {
      kernel.faults.on = false;
      shared.readOnlyUntil = 0;
      kernel.trace('—', 'faults off');
    });
    // A stalled worker wakes within 14 minutes of its last fault.
    kernel.after(calmAt + 20 * MINUTE - kernel.now, () => void people.mend());
    const crons = startCrons(kernel, platform);
    let mended = 0;
    while (ledger.violations.length === 0) {
      const quiet = kernel.queued === crons.planned && kernel.now > calmAt + 20 * MINUTE;
      if (quiet && crons.asleep() && ((mended += 1) > MENDS || !people.mend())) break;
      if (kernel.now > calmAt + HORIZON || shared.statements > RESTLESS) break;
      await kernel.step();
    }
    if (ledger.violations.length === 0) {
      for (const open of openEnds(ledger)) ledger.violated(`#11 faults are off and ${open}`);
      judgeEnd(ledger, world, mails, platform);
    }
  } finally {
    process.off('unhandledRejection', escaped);
    restore();
  }
  if (scenario.accounts.length > 1) ledger.count('scenario: several accounts');
  if (clocksChange(scenario, kernel.began, kernel.now)) ledger.count('scenario: clocks change');
  for (const [name, n] of Object.entries(world.counts)) ledger.counts[`provider: ${name}`] = n;
  const outcome = {
    seed,
    violations: ledger.violations,
    digest: kernel.digest(),
    statements: shared.statements,
    virtualHours: (kernel.now - kernel.began) / HOUR,
    faults: kernel.faults.counts,
    seen: ledger.counts,
    lastEvents: kernel.lastEvents(),
  };
  return { outcome, ledger, mails: mails.accepted };
};

/** Plays one seed. @param events how many of the last events are kept for a person */
export const simulate = async (database: SimDatabase, seed: number, events = 50): Promise<Outcome> => {
  const random = createRandom(seed);
  const began = drawBeginning(random);
  const scenario = drawScenario(random, began);
  const { outcome } = await play(database, { seed, kernel: new Kernel(random, began, events), scenario, foul: true });
  return outcome;
};
