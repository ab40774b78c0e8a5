/** What was said in a call: transcript, summary and evidence, worked out from the number's script and the caller's own data. Pure. */
import { temperatureOf } from './script.ts';

/** What the lead says, and what an analyst makes of it. */
const LINES: Readonly<Record<'Hot' | 'Warm' | 'Cold', readonly (readonly [said: string, noted: string])[]>> = {
  Hot: [
    ['Yes, we want to start this month. Can you send me a quote today?', 'Wants to start this month and asked for a quote today'],
    ['The budget is there. We decide on Friday, call me before that.', 'Has the budget and decides on Friday'],
    ['That is what we need. Please send the contract.', 'Says it is what they need and asked for the contract'],
  ],
  Warm: [
    ['Sounds interesting. Send me the details first.', 'Interested, but wants the details in writing first'],
    ['We are talking to someone else too. What does it cost?', 'Comparing with another offer; asked for the price'],
    ['Not this week. Call me again next month.', 'Asked to be called again next month'],
  ],
  Cold: [
    ['No, we are happy with what we have.', 'Happy with the present supplier'],
    ['There is no budget for that this year.', 'Has no budget this year'],
    ['I only answered because I expected someone else.', 'Shows no interest'],
  ],
};

const OURS: ReadonlySet<string> = new Set(['campaign_id', 'lead_id', 'attempt_id', 'timezone']);
const PERSON = /^(customer_?|first_?|last_?|full_?)?name$|mail|phone|mobile|^company$/i;

const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value).replace(/\s+/g, ' ').trim().slice(0, 60) : '';

const nameIn = (userData: Readonly<Record<string, unknown>>): string =>
  text(userData['name']) || text(userData['customer_name']) || text(userData['first_name']);

/** One of the caller's variables to talk about, as `interest: solar roof`; empty when there is none. */
const topicIn = (userData: Readonly<Record<string, unknown>>, pick: number): string => {
  const topics = Object.entries(userData).flatMap(([key, value]) =>
    OURS.has(key) || PERSON.test(key) || text(value) === '' ? [] : [`${key.replaceAll('_', ' ').slice(0, 40)}: ${text(value)}`],
  );
  return topics.length === 0 ? '' : topics[pick % topics.length];
};

export interface Words {
  transcript: string;
  summary: string;
  evidence: string;
}

/** The words of an answered call. The same number, data and score give the same words. */
export const wordsOf = (number: string, userData: Readonly<Record<string, unknown>>, score: number): Words => {
  const pick = Number(number.slice(-2));
  const lines = LINES[temperatureOf(score)];
  const [said, noted] = lines[pick % lines.length];
  const name = nameIn(userData);
  const topic = topicIn(userData, pick);
  const evidence = `${noted}${topic === '' ? '' : ` (${topic})`}.`;
  return {
    transcript: [
      `assistant: Hello${name === '' ? '' : ` ${name}`}, this is the assistant you asked to call. Do you have a minute?`,
      'user: Yes, go ahead.',
      `assistant: ${topic === '' ? 'I am calling about your enquiry.' : `We noted down ${topic}. Is that right?`} How can we help?`,
      `user: ${said}`,
      'assistant: Thank you, I will pass that on. Goodbye.',
      '',
    ].join('\n'),
    summary: `${name === '' ? 'The lead' : name} answered. ${evidence}`,
    evidence,
  };
};
