/** Providers as the worker sees them, over the {@link PhoneWorld}: one speaks Bolna's words through the real adapter's parser, one signs and analyses late. */
import { createHmac } from 'node:crypto';
import * as z from 'zod';
import { bolna } from '../../lib/providers/bolna.ts';
import { retell } from '../../lib/providers/retell.ts';
import type { Provider, ReadResult } from '../../lib/providers/provider.ts';
import type { Providers } from '../../lib/providers/table.ts';
import type { CallFact, CallOutcome } from '../../lib/verb-shapes.ts';
import { MINUTE, SECOND, type Invocation, type Kernel } from './kernel.ts';
import type { Answer, Dialect, Execution, PhoneWorld, Step } from './phone-world.ts';
import type { Random } from './random.ts';

const TIMEOUT = 5 * SECOND;
const parser = bolna('https://provider.test');
const verifier = retell('https://provider.test');
const JSON_HEADERS = new Headers({ 'content-type': 'application/json' });

/** Whose agent it is stands in its id at the provider: `account/agent`. */
export const providerAgentId = (account: string, agent: string): string => `${account}/${agent}`;
/** The key with which the worker asks, and with which the one that signs does so. */
export const SECRET = 'a secret of the provider';

/** The body that the provider pushes, and shows when asked, for one step. */
export const bodyOf = (execution: Execution, step: Step): string => {
  const over = ['completed', 'ended', 'analyzed', 'no-answer', 'busy', 'failed', 'canceled'].includes(step.word);
  const analysed = step.word === 'analyzed' || (execution.dialect === 'bolna' && step.word === 'completed');
  const { score } = execution;
  return JSON.stringify({
    id: execution.id,
    status: step.word,
    updated_at: new Date(step.at).toISOString(),
    ...(over
      ? { conversation_duration: execution.seconds, total_cost: execution.seconds / 10, transcript: `heard ${execution.id}` }
      : {}),
    ...(step.word === 'completed' || step.word === 'ended' ? { answered_by_voice_mail: execution.truth === 'voicemail' } : {}),
    ...(analysed && score !== null ? { extracted_data: { Lead: { Score: { objective: String(score) } } } } : {}),
    context_details: { recipient_data: execution.echoes ? { attempt_id: execution.attempt } : null },
  });
};

const Body = z.object({
  id: z.string(),
  status: z.string(),
  answered_by_voice_mail: z.boolean().optional(),
  conversation_duration: z.number().optional(),
  extracted_data: z.object({ Lead: z.object({ Score: z.object({ objective: z.string() }) }) }).optional(),
  context_details: z.object({ recipient_data: z.object({ attempt_id: z.string() }).nullable() }),
});
const STATES: Readonly<Record<string, NonNullable<CallFact['status']>>> = {
  queued: 'queued',
  initiated: 'dialing',
  ringing: 'ringing',
  'in-progress': 'in_progress',
  ended: 'completed',
  analyzed: 'completed',
  'no-answer': 'no_answer',
  busy: 'busy',
  failed: 'failed',
  canceled: 'canceled',
};
const RUNNING = new Set(['queued', 'initiated', 'ringing', 'in-progress']);

/** The second dialect: the end comes when the line is free, the analysis in an event of its own. */
const analysingFact = (body: string): CallFact => {
  const { id, status, context_details, ...rest } = Body.parse(JSON.parse(body));
  const attempt = context_details.recipient_data?.attempt_id;
  const voicemail = rest.answered_by_voice_mail === true;
  const score = rest.extracted_data?.Lead.Score.objective;
  return {
    event_key: `${id}:${status}`,
    provider_call_id: id,
    provider_status: status,
    source: 'event',
    status: voicemail ? 'voicemail' : STATES[status],
    ...(attempt === undefined ? {} : { attempt_id: attempt }),
    ...(RUNNING.has(status) ? {} : { line_free: true }),
    ...(rest.conversation_duration === undefined ? {} : { duration_seconds: rest.conversation_duration }),
    ...(score === undefined ? {} : { analysis: { state: 'valid', score: Number(score), evidence: 'said so' } }),
    payload: body,
  };
};

/** One event as the provider pushes it: to the address that came with the create-call, signed where that is its way. */
export const webhookRequest = (execution: Execution, step: Step, now: number): Request => {
  const body = bodyOf(execution, step);
  return posted(execution.webhook, body, execution.dialect === 'bolna' ? null : signatureOf(execution.secret, body, now));
};

/** The end of the same call, told by somebody who can only guess: each draw lacks another part of the proof. */
export const forgedRequest = (random: Random, execution: Execution, now: number): Request => {
  const body = bodyOf(execution, { word: execution.dialect === 'bolna' ? 'busy' : 'ended', at: now });
  const signature = signatureOf(execution.secret, body, now);
  const otherKey = execution.webhook.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
  if (execution.dialect === 'bolna') return posted(otherKey, body, null);
  return random.pick([
    () => posted(otherKey, body, signature),
    () => posted(execution.webhook, body, null),
    () => posted(execution.webhook, body, signatureOf('another secret', body, now)),
    () => posted(execution.webhook, body, signatureOf(execution.secret, body, now - 6 * MINUTE)),
    () => posted(execution.webhook, body.replace(/"id":"x-./, '"id":"x-z'), signature),
  ])();
};

const signatureOf = (secret: string, body: string, now: number): string =>
  `v=${now},d=${createHmac('sha256', secret).update(`${body}${now}`).digest('hex')}`;

const posted = (url: string, body: string, signature: string | null): Request => {
  const headers = new Headers(JSON_HEADERS);
  if (signature !== null) headers.set('x-retell-signature', signature);
  return new Request(url, { method: 'POST', headers, body });
};

const factOf = (dialect: Dialect, body: string): CallFact =>
  dialect === 'bolna'
    ? parser.parseWebhook(null, { headers: JSON_HEADERS, url: 'https://provider.test', body })!
    : analysingFact(body);

const outcomeOf = (answer: Answer): Omit<CallOutcome, 'call_id'> => {
  if (answer.kind === 'accepted') return { outcome: 'accepted', provider_call_id: answer.id };
  if (answer.kind === 'error') return { outcome: 'unknown', reason: `answered ${answer.status}` };
  const after = answer.after === undefined ? {} : { retry_after_seconds: answer.after };
  return { outcome: 'refused', refusal: answer.refusal, reason: `refused: ${answer.refusal}`, ...after };
};

const createOne = (kernel: Kernel, world: PhoneWorld, invocation: Invocation, dialect: Dialect): Provider => {
  const { random } = kernel;
  /** One request: it arrives, something happens, the answer comes back. Holds one connection of the invocation. */
  const request = async <T>(arrive: () => T, answerDelay: () => number): Promise<{ answered: boolean; value: T }> => {
    invocation.subrequests += 1;
    invocation.connections += 1;
    invocation.mostConnections = Math.max(invocation.mostConnections, invocation.connections);
    const there = random.between(20, 400);
    const value = await kernel.park(invocation, there, arrive);
    const back = Math.min(answerDelay(), TIMEOUT - there);
    await kernel.park(invocation, back, () => undefined);
    invocation.connections -= 1;
    return { answered: there + back < TIMEOUT, value };
  };
  const read = async (find: () => Execution | undefined): Promise<ReadResult> => {
    const failed = kernel.strikes('provider_read_failed', invocation);
    const { value } = await request(
      () => {
        const execution = find();
        if (failed || execution?.readable === false) return 'failed';
        return execution && bodyOf(execution, world.stepNow(execution));
      },
      () => random.between(20, 800),
    );
    if (value === 'failed') return { state: 'failed', reason: 'answered 500' };
    if (value === undefined) return { state: 'missing' };
    const { payload: _payload, ...fact } = factOf(dialect, value);
    return { state: 'found', fact: { ...fact, event_key: `read:${fact.event_key}`, source: 'read' } };
  };
  return {
    name: dialect,
    requiredCredentials: ['api_key'],
    accountCredentials: ['api_key'],
    requires: [],
    contentType: 'application/json',
    signed: dialect !== 'bolna',
    async createCall(agent, call) {
      const { provider_agent_id, credentials } = agent;
      const [account = ''] = provider_agent_id.split('/');
      const secret = credentials['api_key'] ?? '';
      const { attempt_id: attempt, to, webhook_url: webhook } = call;
      const dial = { invocation, account, agent: provider_agent_id, attempt, to, webhook, secret };
      world.ask(dial);
      const lostBefore = kernel.strikes('provider_timeout_before', invocation);
      const lostAfter = kernel.strikes('provider_timeout_after', invocation);
      const slow = kernel.strikes('provider_slow_answer', invocation);
      const { answered, value } = await request(
        () => (lostBefore ? null : world.receive(dial, dialect)),
        () =>
          lostBefore || lostAfter ? TIMEOUT : slow ? random.between(2, 7) * SECOND : random.between(30, world.answersWithin),
      );
      if (!answered || !value) return { outcome: 'unknown', reason: 'no answer in time' };
      return outcomeOf(value);
    },
    readCall: (_agent, id) => read(() => world.executions.get(id)),
    findCall: (_agent, lost) =>
      read(() => {
        const execution = world.byAttempt.get(lost.attempt_id);
        // A list is some seconds behind.
        return execution && execution.acceptedAt + 20 * SECOND < kernel.now ? execution : undefined;
      }),
    async stopCall(_agent, id) {
      const { value } = await request(
        () => world.stop(id),
        () => random.between(20, 500),
      );
      return value;
    },
    async registerWebhook() {
      const { answered } = await request(
        () => undefined,
        () => random.between(20, 500),
      );
      return answered;
    },
    verifyWebhook: (agent, request, now) =>
      dialect === 'bolna' ? Promise.resolve(true) : verifier.verifyWebhook(agent, request, now),
    parseWebhook: (_agent, { body }) => factOf(dialect, body),
  };
};

/** All providers of one invocation; those that no agent here uses do not exist. */
export const simProviders = (kernel: Kernel, world: PhoneWorld, invocation: Invocation): Providers => {
  const two = { bolna: createOne(kernel, world, invocation, 'bolna'), retell: createOne(kernel, world, invocation, 'retell') };
  return new Proxy(two, {
    get: (target, name) => {
      const provider = target[name as Dialect];
      if (!provider) throw new Error(`no simulated provider ${String(name)}`);
      return provider;
    },
  }) as unknown as Providers;
};
