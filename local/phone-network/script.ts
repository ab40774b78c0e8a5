/** What becomes of a call: the last two digits of the number decide. Pure. */

export type Status =
  | 'queued'
  | 'initiated'
  | 'ringing'
  | 'in-progress'
  | 'call-disconnected'
  | 'completed'
  | 'no-answer'
  | 'busy'
  | 'failed'
  | 'stopped';

/** The statuses after which nothing follows. */
export const LAST: ReadonlySet<Status> = new Set(['completed', 'no-answer', 'busy', 'failed', 'stopped']);
/** From here on the line is free. */
export const FREES_LINE: ReadonlySet<Status> = new Set([...LAST, 'call-disconnected']);

export type Ending = 'answered' | 'no-answer' | 'busy' | 'voicemail' | 'failed';

/** One call from its start to its end. */
export interface Script {
  ending: Ending;
  /** 0–100; null unless somebody answered. */
  score: number | null;
  /** `lost_once_answered`: none after `in-progress` leaves; `tripled`: each leaves three times, in the wrong order. */
  webhooks: 'normal' | 'lost_once_answered' | 'tripled';
  /** False: webhooks carry none of the caller's own data. */
  echoes: boolean;
  /** False: the create-call request is accepted and never answered. */
  answersCreate: boolean;
}

export type Fate = { accepted: true; script: Script } | { accepted: false; status: 429 | 500 };

const call = (ending: Ending, score: number | null, rest: Partial<Script> = {}): Fate => ({
  accepted: true,
  script: { ending, score, webhooks: 'normal', echoes: true, answersCreate: true, ...rest },
});
const answered = (score: number, rest: Partial<Script> = {}): Fate => call('answered', score, rest);

/**
 * The fate of one create-call.
 * @param number E.164
 * @param seen what this number saw before within the same campaign: create-calls, and those accepted
 */
export const fateOf = (number: string, seen: { creates: number; dials: number }): Fate => {
  const digits = Number(number.slice(-2));
  if (digits <= 49) return answered(100 - 2 * digits);
  if (digits <= 64) return call('no-answer', null);
  if (digits <= 74) return call('busy', null);
  if (digits <= 84) return call('voicemail', null);
  if (digits <= 89) return call('failed', null);
  if (digits <= 94) return seen.dials % 2 === 0 ? call('no-answer', null) : answered(80);
  if (digits === 95) return answered(75, { webhooks: 'lost_once_answered' });
  if (digits === 96) return answered(75, { webhooks: 'tripled' });
  if (digits === 97) return answered(75, { echoes: false, answersCreate: false });
  if (digits === 98) return { accepted: false, status: 500 };
  return seen.creates < 2 ? { accepted: false, status: 429 } : answered(100);
};

/** Seconds of conversation by ending; a machine is hung up on sooner. */
export const TALK_SECONDS: Readonly<Record<Ending, number>> = { answered: 30, voicemail: 8, 'no-answer': 0, busy: 0, failed: 0 };

export interface Step {
  /** Virtual milliseconds since the step before; the first counts from the moment the call leaves the queue. */
  after: number;
  status: Status;
}

const DIALLING: readonly Step[] = [
  { after: 250, status: 'initiated' },
  { after: 250, status: 'ringing' },
];

const answeredSteps = (talkSeconds: number): readonly Step[] => [
  ...DIALLING,
  { after: 5_000, status: 'in-progress' },
  { after: talkSeconds * 1_000, status: 'call-disconnected' },
  { after: 5_000, status: 'completed' },
];

/** What a call goes through once it is live: rings 5 s, talks 30 s, is post-processed 5 s. */
export const STEPS: Readonly<Record<Ending, readonly Step[]>> = {
  failed: [
    { after: 250, status: 'initiated' },
    { after: 250, status: 'failed' },
  ],
  busy: [...DIALLING, { after: 1_000, status: 'busy' }],
  'no-answer': [...DIALLING, { after: 5_000, status: 'no-answer' }],
  answered: answeredSteps(TALK_SECONDS.answered),
  voicemail: answeredSteps(TALK_SECONDS.voicemail),
};

/** The label that goes with a score. */
export const temperatureOf = (score: number): 'Hot' | 'Warm' | 'Cold' => (score >= 70 ? 'Hot' : score >= 40 ? 'Warm' : 'Cold');
