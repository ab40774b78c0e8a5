/** One call as the network keeps it, in whatever dialect it was asked for. Pure. */
import { FREES_LINE, LAST, TALK_SECONDS, temperatureOf } from './script.ts';
import type { Script, Status } from './script.ts';
import { wordsOf } from './words.ts';

/** One accepted call. */
export interface Call {
  id: string;
  agent_id: string;
  /** E.164. */
  to: string;
  from: string;
  /** The caller's own data, our ids among them. */
  user_data: Readonly<Record<string, unknown>> | null;
  /** The create-call as received: what a provider shows again stands in it. */
  asked: Readonly<Record<string, unknown>>;
  script: Script;
  status: Status;
  /** It ended because its key had no line left. */
  over_ceiling: boolean;
  carrier_call_id: string;
  created_at: Date;
  updated_at: Date;
  initiated_at: Date | null;
  answered_at: Date | null;
  /** When the line became free. */
  ended_at: Date | null;
}

/** How one provider speaks of a call. */
export interface Dialect {
  name: 'bolna' | 'vapi' | 'retell';
  /** An id of the provider's form, out of a fresh UUID. */
  newId: (uuid: string) => string;
  /** Whether a call above the ceiling waits for room; else it is accepted and ends at once. */
  queues: boolean;
  /**
   * The webhooks that the status to which a call has just come makes, in order; possibly none.
   * @param base where this network listens
   */
  events: (call: Call, base: string) => readonly { name: string; body: unknown }[];
}

/** Whether nothing follows. */
export const isFinal = ({ status }: Call): boolean => LAST.has(status);

const talked = ({ status }: Call): boolean => FREES_LINE.has(status) && status !== 'stopped';

/** Seconds of conversation so far as they are known: none while it lasts. */
export const secondsOf = (call: Call): number => (talked(call) ? TALK_SECONDS[call.script.ending] : 0);

/** Cents. Network and platform are billed per started minute, and only once the call is processed. */
export const costsOf = (call: Call) => {
  const seconds = secondsOf(call);
  const billed = isFinal(call) && seconds > 0;
  return {
    llm: seconds === 0 ? 0 : 0.002 * seconds,
    network: billed ? 0.344 : 0,
    platform: billed ? 2 : 0,
    synthesizer: seconds === 0 ? 0 : 0.01 * seconds,
    transcriber: seconds === 0 ? 0 : 0.015 * seconds,
  };
};

/** What the call cost so far, in cents. */
export const costOf = (call: Call): number => {
  const cents = Object.values(costsOf(call)).reduce((sum, part) => sum + part, 0);
  return Math.round(cents * 1000) / 1000;
};

export interface Said {
  /** Lines of `assistant: …` and `user: …`; null when nobody spoke, or it is not known yet. */
  transcript: string | null;
  summary: string | null;
  analysis: { score: number; temperature: 'Hot' | 'Warm' | 'Cold'; evidence: string } | null;
}

/** What was said: the transcript as soon as the line is free, summary and analysis once the call is processed. */
export const saidIn = (call: Call): Said => {
  const { script, status, to, user_data } = call;
  const silent = { transcript: null, summary: null, analysis: null };
  if (!talked(call)) return silent;
  if (script.ending === 'voicemail') return { ...silent, transcript: 'user: Please leave your message after the tone.\n' };
  if (script.score === null) return silent;
  const { transcript, summary, evidence } = wordsOf(to, user_data ?? {}, script.score);
  if (status === 'call-disconnected') return { ...silent, transcript };
  return { transcript, summary, analysis: { score: script.score, temperature: temperatureOf(script.score), evidence } };
};

/** The transcript with a provider's names of the speakers. */
export const spokenBy = (transcript: string | null, assistant: string, user: string): string =>
  (transcript ?? '').replace(/^assistant:/gm, `${assistant}:`).replace(/^user:/gm, `${user}:`);

/** Where the recording of a call lies. */
export const recordingOf = (call: Call, base: string): string => `${base}/recordings/call/${call.id}`;
