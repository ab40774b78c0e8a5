/** What the phone network did to webhooks, by its own records. */
import type { CallRecord } from '../../local/phone-network/exchange.ts';

export interface Disturbances {
  /** Events that never left. */
  lost: number;
  /** Events sent again although they had been taken. */
  doubled: number;
  /** Events sent after a later one of their call. */
  overtaken: number;
  /** Events sent at least so late as asked for. */
  delayed: number;
}

/** Numbers whose own script loses or triples webhooks: theirs are no work of the control. */
const SCRIPTED = /9[56]$/;

/** @param delaySeconds virtual, from which on a webhook counts as delayed */
export const disturbances = (calls: readonly CallRecord[], delaySeconds = Infinity): Disturbances => {
  const seen: Disturbances = { lost: 0, doubled: 0, overtaken: 0, delayed: 0 };
  for (const { events, recipient_phone_number } of calls) {
    if (SCRIPTED.test(String(recipient_phone_number))) continue;
    const firsts = events.map(({ deliveries }) => deliveries[0]?.at);
    for (const [i, { lost, at, deliveries }] of events.entries()) {
      const [first] = deliveries;
      if (lost === 'dropped') seen.lost += 1;
      if (first === undefined) continue;
      // What was answered 2xx is not repeated: a second delivery is a double.
      if (deliveries.length > 1 && first.answer === 200) seen.doubled += 1;
      if (firsts.slice(i + 1).some((later) => later !== undefined && later < first.at)) seen.overtaken += 1;
      if (Date.parse(first.at) - Date.parse(at) >= delaySeconds * 1000) seen.delayed += 1;
    }
  }
  return seen;
};
