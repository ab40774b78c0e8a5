/** Campaigns: the rules for calling a list of leads, and the switches that set it going. */
import { moveCampaign, type Move } from '../lib/campaign-moves.ts';
import { Campaign, CampaignCreate, CampaignPatch, page, Preflight } from '../lib/contract.ts';
import { notFound } from '../lib/errors.ts';
import { followCampaign } from '../lib/follow.ts';
import { found, paged } from './respond.ts';
import { accountOf, ById, PageQuery, route, type Route } from './route.ts';

const tag = 'Campaigns';

/** POST /v1/campaigns/:id/start and its kin: one verb each, which says what is allowed when the state is wrong. */
const move = (action: Move, summary: string): Route =>
  route({
    method: 'POST',
    path: `/v1/campaigns/:id/${action}`,
    tag,
    summary,
    auth: 'account',
    params: ById,
    responses: { 200: Campaign },
    refusals: [409],
    async handler(call) {
      return { status: 200, body: found(await moveCampaign(call.deps, accountOf(call), call.params.id, action)) };
    },
  });

export const campaignRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/campaigns',
    tag,
    summary: 'List campaigns',
    auth: 'account',
    query: PageQuery,
    responses: { 200: page(Campaign) },
    handler: (call) =>
      paged(call.query, (after, limit) => call.deps.verbs.listCampaigns(accountOf(call), call.deps.now(), after, limit)),
  }),
  route({
    method: 'POST',
    path: '/v1/campaigns',
    tag,
    summary: 'Make a campaign, as a draft',
    auth: 'account',
    body: CampaignCreate,
    creates: true,
    responses: { 201: Campaign },
    refusals: [409],
    async handler(call) {
      const { deps, mint, body } = call;
      return {
        status: 201,
        body: await deps.verbs.createCampaign(accountOf(call), deps.now(), await mint.id('campaign'), body),
      };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/campaigns/:id',
    tag,
    summary: 'One campaign with its counts and progress',
    auth: 'account',
    params: ById,
    responses: { 200: Campaign },
    async handler(call) {
      const { deps, params } = call;
      return { status: 200, body: found(await deps.verbs.getCampaign(accountOf(call), deps.now(), params.id)) };
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/campaigns/:id',
    tag,
    summary: 'Change a campaign',
    auth: 'account',
    params: ById,
    body: CampaignPatch,
    responses: { 200: Campaign },
    refusals: [409],
    async handler(call) {
      const { deps, params, body } = call;
      const campaign = found(await deps.verbs.updateCampaign(accountOf(call), deps.now(), params.id, body));
      followCampaign(deps, accountOf(call), campaign);
      return { status: 200, body: campaign };
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/campaigns/:id',
    tag,
    summary: 'Delete a draft, completed or canceled campaign',
    auth: 'account',
    params: ById,
    responses: { 204: null },
    refusals: [409],
    async handler(call) {
      const { deps, params } = call;
      if (!(await deps.verbs.deleteCampaign(accountOf(call), deps.now(), params.id))) throw notFound();
      return { status: 204, body: undefined };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/campaigns/:id/preflight',
    tag,
    summary: 'What holds up its leads, counted, and when it may be done',
    auth: 'account',
    params: ById,
    responses: { 200: Preflight },
    async handler(call) {
      const { deps, params } = call;
      const cap = deps.config.systemMaxConcurrentCalls;
      return { status: 200, body: found(await deps.verbs.preflightCampaign(accountOf(call), deps.now(), params.id, cap)) };
    },
  }),
  move('start', 'Start calling (from starts_at, when that lies ahead)'),
  move('pause', 'Dial nobody new; calls on the line go on'),
  move('resume', 'Go on calling'),
  move('cancel', 'Stop for good'),
];
