/**
 * Twilio Programmable Voice (https://www.twilio.com/docs/voice): the voice agent is an application of the deployer's at `twiml_url`.
 * Twilio carries no data of ours, so our attempt id stands in the query of each call's status callback. Callbacks are forms, signed
 * with the auth token over the whole address and every field. There is no analysis, unless the application posts one: it is waited for.
 * No idempotency key.
 */
import * as z from 'zod';
import { utf8 } from '../seal.ts';
import type { CallFact } from '../verb-shapes.ts';
import { Amount, badBody, formBody, lenient, ProviderId, Word } from './body.ts';
import { factFrom, fromDate, fromMs, inboundFrom, ours, told } from './facts.ts';
import { ask, createOnce, type HttpAnswer, type Outcome, READ_TIMEOUT_MS, reading, refused, unread, unsendable } from './http.ts';
import type { CreateCall, LostCall, Provider, ProviderAgent, ReadResult, WebhookRequest } from './provider.ts';
import { hmac, isOneOf, live, toBase64 } from './signatures.ts';

type State = NonNullable<CallFact['status']>;

const STATES: Readonly<Record<string, State>> = {
  queued: 'queued',
  initiated: 'dialing',
  ringing: 'ringing',
  'in-progress': 'in_progress',
  completed: 'completed',
  busy: 'busy',
  'no-answer': 'no_answer',
  failed: 'failed',
  canceled: 'canceled',
};
const ENDED = new Set(['completed', 'busy', 'no-answer', 'failed', 'canceled']);

/** A form as pushed: all fields are text. */
const Callback = z.object({
  CallSid: ProviderId,
  CallStatus: lenient(Word),
  Direction: lenient(z.string()),
  From: lenient(z.string()),
  SequenceNumber: lenient(Word),
  Timestamp: lenient(z.string()),
  CallDuration: lenient(Amount),
  SipResponseCode: lenient(Word),
  AnsweredBy: lenient(Word),
  RecordingSid: lenient(ProviderId),
  RecordingUrl: lenient(z.string()),
});
/** A call as read. */
const Call = z.object({
  sid: ProviderId,
  status: Word,
  direction: lenient(z.string()),
  date_created: lenient(z.string()),
  end_time: lenient(z.string()),
  duration: lenient(Amount),
  price: lenient(z.union([z.number(), z.string().trim().min(1).transform(Number)]).pipe(z.number())),
  price_unit: lenient(z.string()),
  answered_by: lenient(Word),
});
type Call = z.infer<typeof Call>;

/** What the status and, for an answered call, the detection of machines say. */
const stateOf = (status: string, answeredBy: string | null | undefined): State | undefined => {
  if (status !== 'completed') return told(STATES, status);
  if (answeredBy?.startsWith('machine_')) return 'voicemail';
  return answeredBy === 'fax' ? 'failed' : 'completed';
};

const endOf = (
  status: string,
  said: { at: string | undefined; seconds: number | null | undefined; reason: string | null | undefined },
) => ({
  line_free: true,
  ended_at: said.at,
  duration_seconds: said.seconds,
  // The duration counts from the answer.
  answered_at: status === 'completed' && said.at && said.seconds ? fromMs(Date.parse(said.at) - said.seconds * 1000) : undefined,
  reason: said.reason,
});

const readFact = (call: Call): CallFact =>
  factFrom({
    event_key: `read:${call.sid}:${call.status}`,
    provider_call_id: call.sid,
    provider_status: call.status,
    source: 'read',
    status: stateOf(call.status, call.answered_by),
    ...(ENDED.has(call.status) &&
      endOf(call.status, { at: fromDate(call.end_time), seconds: call.duration, reason: call.answered_by })),
    // Negative, and known some time after the end.
    cost: call.price_unit === 'USD' && typeof call.price === 'number' ? Math.abs(call.price) : undefined,
  });

const LATER = new Set([10004, 20429, 22005]);
/** The number dialled is none, or none that can be reached. */
const INVALID = new Set([21211, 21214, 21217]);
/** The keys, the account's state. */
const ACCOUNT = new Set([10001, 20003, 20005]);
/** The address of the application, the caller id. */
const AGENT = new Set([21205, 21210, 21212, 21213]);

/** What a refused create-call means for the lead and for the agent, by Twilio's error code. */
const judge = (answer: HttpAnswer): Outcome => {
  const { data } = z.object({ code: z.number(), message: z.string().catch('') }).safeParse(answer.json);
  const code = data?.code ?? 0;
  const message = data ? `${code} ${data.message}` : '';
  if (answer.status === 429 || LATER.has(code)) return refused('later', answer, message);
  if (INVALID.has(code)) return refused('invalid', answer, message);
  if (AGENT.has(code)) return refused('agent', answer, message);
  if ([401, 402, 403, 404].includes(answer.status) || ACCOUNT.has(code)) return refused('account', answer, message);
  return refused('other', answer, message);
};

/** The address with its standard port and without: Twilio has signed either. A fragment is never signed. */
const spellings = (address: string): readonly string[] => {
  const url = new URL(address);
  const rest = url.pathname + url.search;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const exact = address.replace(/#.*$/s, '');
  return [...new Set([exact, `${url.protocol}//${url.hostname}${rest}`, `${url.protocol}//${url.hostname}:${port}${rest}`])];
};

/** Every field as name and value in the order of names; a name given several times has each different value once. */
const signedFields = (body: string): string => {
  const fields = new URLSearchParams(body);
  const names = [...new Set(fields.keys())].sort();
  return names
    .map((name) =>
      [...new Set(fields.getAll(name))]
        .sort()
        .map((value) => name + value)
        .join(''),
    )
    .join('');
};

/** `X-Twilio-Signature`: base64 of HMAC-SHA1 over address and fields. It has no time: a replay is met by the event's own key. */
const verify = (agent: ProviderAgent, { headers, url, body }: WebhookRequest): Promise<boolean> => {
  const tokens = live(agent.credentials.auth_token, ...agent.webhook_secrets);
  const fields = signedFields(body);
  const candidates = tokens.flatMap((token) =>
    spellings(url).map(async (address) => toBase64(await hmac('SHA-1', utf8(token), address + fields))),
  );
  return isOneOf(headers.get('x-twilio-signature') ?? '', candidates);
};

/** Characters that Twilio takes of an address. */
const URL_LIMIT = 4000;

/**
 * The application's address for one call: our ids in its query, and the variables beside them when they fit. When not, the application
 * reads them at `GET /v1/leads/:id`.
 */
const applicationUrl = (twimlUrl: string, call: CreateCall): string => {
  const withQuery = (said: Readonly<Record<string, unknown>>): string => {
    const url = new URL(twimlUrl);
    for (const [name, value] of Object.entries(said)) {
      if (['string', 'number', 'boolean'].includes(typeof value))
        url.searchParams.set(name, String(value as string | number | boolean));
    }
    return url.href;
  };
  const whole = withQuery({ ...call.variables, ...ours(call) });
  return whole.length <= URL_LIMIT ? whole : withQuery(ours(call));
};

/** How far around the moment of the dial a lost call may have been created. */
const BEFORE_MS = 10_000;
const AFTER_MS = 2 * 60_000;

/** The adapter for one base URL. */
export const twilio = (baseUrl: string): Provider => {
  const headers = ({ credentials }: ProviderAgent): Record<string, string> => ({
    authorization: `Basic ${toBase64(utf8(`${credentials.account_sid ?? ''}:${credentials.auth_token ?? ''}`))}`,
  });
  const calls = (agent: ProviderAgent): string =>
    `${baseUrl}/2010-04-01/Accounts/${encodeURIComponent(agent.credentials.account_sid ?? '')}/Calls`;
  const get = (agent: ProviderAgent, url: string): Promise<HttpAnswer> =>
    ask(url, { method: 'GET', headers: headers(agent), timeoutMs: READ_TIMEOUT_MS });

  const formOf = (agent: ProviderAgent, from: string, call: CreateCall): URLSearchParams => {
    const { machine_detection = 'Enable' } = agent.credentials;
    const form = new URLSearchParams({
      To: call.to,
      From: from,
      Url: applicationUrl(agent.credentials.twiml_url ?? '', call),
      // The fragment is Twilio's own: send again, up to five times, whatever went wrong.
      StatusCallback: `${call.webhook_url}?attempt_id=${encodeURIComponent(call.attempt_id)}#rc=5&rp=all`,
      StatusCallbackMethod: 'POST',
    });
    for (const event of ['initiated', 'ringing', 'answered', 'completed']) form.append('StatusCallbackEvent', event);
    // `off` among the credentials: the application finds out by itself who answered.
    if (machine_detection !== 'off') form.set('MachineDetection', machine_detection);
    return form;
  };

  return {
    name: 'twilio',
    requiredCredentials: ['account_sid', 'auth_token', 'twiml_url'],
    accountCredentials: ['account_sid', 'auth_token'],
    requires: ['from_number'],
    contentType: 'application/x-www-form-urlencoded',
    signed: true,
    createCall(agent, call): Promise<Outcome> {
      if (agent.from_number === null) return Promise.resolve(unsendable('agent', 'the agent has no from_number'));
      if (!URL.canParse(agent.credentials.twiml_url ?? '')) return Promise.resolve(unsendable('agent', 'twiml_url is no URL'));
      return createOnce(
        `${calls(agent)}.json`,
        { headers: headers(agent), body: formOf(agent, agent.from_number, call) },
        (json) => z.object({ sid: ProviderId }).safeParse(json).data?.sid,
        judge,
      );
    },
    readCall: (agent, id): Promise<ReadResult> =>
      reading(async () => {
        const answer = await get(agent, `${calls(agent)}/${encodeURIComponent(id)}.json`);
        const parsed = Call.safeParse(answer.json);
        if (answer.status !== 200 || !parsed.success) return unread(answer);
        return { state: 'found', fact: readFact(parsed.data) };
      }),
    // Nothing of ours is in the list: a call is ours for sure when it alone went from our number to this one at that moment.
    findCall: (agent, { to, since }: LostCall): Promise<ReadResult> =>
      reading(async () => {
        const query = new URLSearchParams({ To: to, From: agent.from_number ?? '', PageSize: '50' });
        const answer = await get(agent, `${calls(agent)}.json?${query.toString()}`);
        const parsed = z.object({ calls: z.array(z.unknown()) }).safeParse(answer.json);
        if (answer.status !== 200 || !parsed.success) return { state: 'failed', reason: `answered ${answer.status}` };
        const made = parsed.data.calls
          .map((entry) => Call.safeParse(entry).data)
          .filter((call) => {
            const ms = Date.parse(fromDate(call?.date_created) ?? '') - since.getTime();
            return call?.direction === 'outbound-api' && ms >= -BEFORE_MS && ms <= AFTER_MS;
          });
        if (made.length > 1) return { state: 'failed', reason: 'several calls may be this one' };
        return made[0] ? { state: 'found', fact: readFact(made[0]) } : { state: 'missing' };
      }),
    // `canceled` stops a call that nobody has answered yet, `completed` hangs up.
    async stopCall(agent, id) {
      for (const status of ['canceled', 'completed']) {
        const answer = await ask(`${calls(agent)}/${encodeURIComponent(id)}.json`, {
          method: 'POST',
          headers: headers(agent),
          timeoutMs: READ_TIMEOUT_MS,
          body: new URLSearchParams({ Status: status }),
        });
        if (ENDED.has(Call.safeParse(answer.json).data?.status ?? '')) return true;
      }
      return false;
    },
    registerWebhook: () => Promise.resolve(true),
    verifyWebhook: verify,
    parseWebhook(_agent, request) {
      const callback = formBody(request, Callback, 'must be a status callback');
      const { CallSid: sid, CallStatus: status, Timestamp, AnsweredBy, SipResponseCode: sip, RecordingUrl } = callback;
      const caller = callback.Direction?.startsWith('inbound') ? inboundFrom(callback.From) : undefined;
      if (caller === null) return null;
      const attempt = new URL(request.url).searchParams.get('attempt_id')?.slice(0, 100);
      if (RecordingUrl && callback.RecordingSid) {
        // Whatever was recorded had been answered.
        return factFrom({
          event_key: `${sid}:${callback.RecordingSid}`,
          provider_call_id: sid,
          provider_status: 'recording',
          source: 'event',
          attempt_id: attempt,
          status: 'in_progress',
          recording_url: RecordingUrl,
          payload: request.body,
        });
      }
      if (!status) {
        if (AnsweredBy) return null; // detection under way: what it found comes again with the end
        throw badBody('must be a status callback');
      }
      return factFrom({
        event_key: `${sid}:${callback.SequenceNumber ?? status}`,
        provider_call_id: sid,
        provider_status: status,
        source: 'event',
        attempt_id: attempt,
        ...caller,
        status: stateOf(status, AnsweredBy),
        ...(ENDED.has(status) &&
          endOf(status, { at: fromDate(Timestamp), seconds: callback.CallDuration, reason: sip ? `SIP ${sip}` : AnsweredBy })),
        payload: request.body,
      });
    },
  };
};
