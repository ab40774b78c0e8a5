/** Calls: one attempt to reach somebody; direct ones are asked for here. */
import * as z from 'zod';
import type { Deps } from '../lib/deps.ts';
import { AnalysisIn, Call, CallEvent, DirectCallIn, DirectCallQueued, Id, page, Replayed } from '../lib/contract.ts';
import { CALL_STATUSES } from '../lib/domain/vocabulary.ts';
import { cancelCall, placeDirectCall, wakeDispatch, type PlacedDirectCall } from '../lib/dial.ts';
import { normalisePhone } from '../lib/domain/phone.ts';
import { Refusal } from '../lib/errors.ts';
import { follow } from '../lib/follow.ts';
import { postAnalysis } from '../lib/post-analysis.ts';
import { replayEvent } from '../lib/receive-webhook.ts';
import { found, paged } from './respond.ts';
import { accountOf, ById, PageQuery, pageQuery, route, type Route } from './route.ts';

const tag = 'Calls';
/** Real milliseconds from a request's beginning: a little more than a provider has to answer a create-call. */
const PATIENCE_MS = 6000;

/** @throws {Refusal} 400 naming `to`; a direct call has no default country, so the number must be international */
const phoneOf = (to: string): string => {
  const phone = normalisePhone(to, null);
  if (phone.ok) return phone.e164;
  throw new Refusal(400, 'validation', `to: ${phone.message}`, [{ field: 'to', rule: phone.message }]);
};

/**
 * A call that waits for an agent whose provider refuses us would wait for ever: it is taken back and refused.
 * @throws {Refusal} 422
 */
const refuseIfPaused = async (deps: Deps, account: string, agentId: string, callId: string): Promise<void> => {
  const reason = (await deps.verbs.getAgent(account, deps.now(), agentId))?.paused_reason ?? null;
  if (reason === null) return;
  const canceled = await deps.verbs.cancelCall(account, deps.now(), callId);
  throw new Refusal(422, 'provider_refused', reason, [], { call: canceled?.call });
};

/** Another invocation may have taken the call and be asking the provider: its answer is waited for. */
const placedOrQueued = async (deps: Deps, account: string, id: string): Promise<PlacedDirectCall> => {
  const placed = await placeDirectCall(deps, account, id);
  if (placed.position !== 0) return placed;
  for (let wait = 200; deps.elapsedMs() < PATIENCE_MS; wait *= 2) {
    await deps.sleep(wait);
    const { status } = found(await deps.verbs.getCall(account, deps.now(), id));
    if (status !== 'reserved' && status !== 'placing') return placeDirectCall(deps, account, id);
  }
  return placed;
};

export const callRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/calls',
    tag,
    summary: 'Call somebody now, or as soon as a slot is free',
    auth: 'account',
    body: DirectCallIn,
    creates: true,
    responses: { 201: Call, 202: DirectCallQueued },
    refusals: [409, 422],
    async handler(call) {
      const { deps, body, mint } = call;
      const account = accountOf(call);
      const id = await mint.id('call');
      const to = phoneOf(body.to);
      await deps.verbs.requestDirectCall(account, deps.now(), id, body.agent_id, to, body.name ?? null, body.variables ?? {});
      const placed = await placedOrQueued(deps, account, id);
      if (placed.refused)
        throw new Refusal(placed.refused.status, placed.refused.code, placed.refused.message, [], { call: placed.call });
      if (placed.position === null) return { status: 201, body: placed.call };
      if (placed.call.status === 'waiting') await refuseIfPaused(deps, account, body.agent_id, id);
      return { status: 202, body: { call: placed.call, position: placed.position } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/calls',
    tag,
    summary: 'List calls',
    auth: 'account',
    query: z.strictObject({ ...pageQuery, campaign_id: Id.optional(), status: z.enum(CALL_STATUSES).optional() }),
    responses: { 200: page(Call) },
    handler: (call) => {
      const { deps, query } = call;
      return paged(query, (after, limit) =>
        deps.verbs.listCalls(accountOf(call), deps.now(), query.campaign_id ?? null, query.status ?? null, after, limit),
      );
    },
  }),
  route({
    method: 'GET',
    path: '/v1/calls/:id',
    tag,
    summary: 'One call',
    auth: 'account',
    params: ById,
    responses: { 200: Call },
    async handler(call) {
      const { deps, params } = call;
      return { status: 200, body: found(await deps.verbs.getCall(accountOf(call), deps.now(), params.id)) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/calls/:id/events',
    tag,
    summary: 'What the provider said of a call, as received, and what became of it',
    auth: 'account',
    params: ById,
    query: PageQuery,
    responses: { 200: page(CallEvent) },
    handler: (call) => {
      const { deps, params } = call;
      return paged(call.query, (after, limit) => deps.verbs.listCallEvents(accountOf(call), deps.now(), params.id, after, limit));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/calls/:id/cancel',
    tag,
    summary: 'End a call that waits, or ask the provider to stop one on the line',
    auth: 'account',
    params: ById,
    responses: { 200: Call },
    refusals: [409],
    async handler(call) {
      const { deps, params } = call;
      const canceled = found(await cancelCall(deps, accountOf(call), params.id));
      // A reservation held a slot.
      if (canceled.released_at !== null) wakeDispatch(deps, accountOf(call));
      return { status: 200, body: canceled };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/calls/:id/analysis',
    tag,
    summary: 'Say how a call went, when the voice agent is your own application',
    auth: 'account',
    params: ById,
    body: AnalysisIn,
    responses: { 200: Call },
    refusals: [409],
    async handler(call) {
      const { deps, params, body } = call;
      const account = accountOf(call);
      follow(deps, found(await postAnalysis(deps, account, params.id, body)));
      return { status: 200, body: found(await deps.verbs.getCall(account, deps.now(), params.id)) };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/events/:id/replay',
    tag,
    summary: 'Apply a stored webhook again, parsed anew; an event of its own records it',
    auth: 'admin',
    params: ById,
    responses: { 200: Replayed },
    refusals: [409, 422],
    async handler({ deps, params }) {
      const { applied, replayed } = found(await replayEvent(deps, params.id));
      follow(deps, applied);
      return { status: 200, body: replayed };
    },
  }),
];
