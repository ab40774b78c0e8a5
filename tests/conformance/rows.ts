/** One row for each route of the contract: how it is asked, in an order in which each finds what it needs, and what it answers. */
import type { Owner, Sent } from './rig.ts';

/** What a caller shows. Without it the request is a stranger's. */
export type Credential = 'admin' | 'account' | 'session' | 'system' | 'link' | 'provider' | 'mail' | 'none';

/** What the rows before have brought about; a row that makes something names it here. */
export interface Scene {
  owner: Owner;
  /** A draft with leads, for the pages. */
  campaign: string;
  /** A draft to be deleted. */
  spare: string;
  /** A signed link's token. */
  token: string;
  /** A mail that failed, for the API, and one for the pages. */
  failedMails: [string, string];
  made: Record<string, string>;
}

export interface Row {
  /** Method and path as in the table of routes. */
  route: string;
  credential: Credential;
  /** Of the good answer. */
  status: number;
  /** Of a stranger's. */
  stranger: number;
  /** What stands for the `:parameters` of the path. */
  path?: (scene: Scene) => Record<string, string>;
  sent?: (scene: Scene) => Sent;
  /** What of the answer later rows need. */
  keep?: (scene: Scene, body: Record<string, never>) => void;
}

const CSV = { 'content-type': 'text/csv' };
const WINDOW = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
const form = (fields: Record<string, string>): Sent => ({
  raw: new URLSearchParams(fields).toString(),
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
});

const api = (route: string, status: number, more: Partial<Row> = {}): Row => ({
  route,
  credential: 'account',
  status,
  stranger: 401,
  ...more,
});
const page = (route: string, status: number, more: Partial<Row> = {}): Row => ({
  route,
  credential: 'session',
  status,
  stranger: 401,
  ...more,
});
const open = (route: string): Row => ({ route, credential: 'none', status: 200, stranger: 200 });

const made = (name: string) => (scene: Scene) => ({ id: scene.made[name]! });
const keepId = (name: string) => (scene: Scene, body: Record<string, string>) => void (scene.made[name] = body['id']!);
const ofCampaign = made('campaign');
const draft = ({ campaign }: Scene) => ({ id: campaign });

const ACCOUNT: readonly Row[] = [
  api('POST /v1/accounts', 201, {
    credential: 'admin',
    sent: () => ({ body: { name: 'Second', email: 'second@ringleader.test' } }),
  }),
  api('GET /v1/account', 200),
  api('PATCH /v1/account', 200, { sent: () => ({ body: { name: 'Renamed' } }) }),
  api('POST /v1/api-keys', 201, { sent: () => ({ body: { name: 'Another' } }), keep: keepId('apiKey') }),
  api('GET /v1/api-keys', 200),
  api('DELETE /v1/api-keys/:id', 204, { path: made('apiKey') }),
  api('GET /v1/account/notification-preferences', 200),
  api('PUT /v1/account/notification-preferences', 200, { sent: () => ({ body: { hot_lead_emails: false } }) }),
  api('POST /v1/agents', 201, {
    sent: () => ({
      body: { name: 'Bob', provider: 'bolna', provider_agent_id: 'agent-of-bob', credentials: { api_key: 'key-of-bob' } },
    }),
    keep: keepId('agent'),
  }),
  api('GET /v1/agents', 200),
  api('GET /v1/agents/:id', 200, { path: made('agent') }),
  api('PATCH /v1/agents/:id', 200, { path: made('agent'), sent: () => ({ body: { name: 'Bobby' } }) }),
  api('DELETE /v1/agents/:id', 204, { path: made('agent') }),
];

const CAMPAIGNS: readonly Row[] = [
  api('POST /v1/campaigns', 201, {
    sent: ({ owner }) => ({ body: { name: 'Summer', agent_id: owner.agent, default_country: 'US', window: WINDOW } }),
    keep: keepId('campaign'),
  }),
  api('GET /v1/campaigns', 200),
  api('GET /v1/campaigns/:id', 200, { path: ofCampaign }),
  api('PATCH /v1/campaigns/:id', 200, { path: ofCampaign, sent: () => ({ body: { max_concurrent_calls: 2 } }) }),
  api('DELETE /v1/campaigns/:id', 204, { path: ({ spare }) => ({ id: spare }) }),
  api('POST /v1/campaigns/:id/leads', 200, {
    path: ofCampaign,
    sent: () => ({ raw: 'phone,name\n+14155550100,Ann\n+14155550102,Bob\n12,Nobody\n', headers: CSV }),
  }),
  api('GET /v1/campaigns/:id/leads', 200, {
    path: ofCampaign,
    keep: (scene, body: { data?: { id: string }[] }) => void (scene.made['lead'] = body.data![0]!.id),
  }),
  api('GET /v1/leads/:id', 200, { path: made('lead') }),
  api('GET /v1/leads/:id/explain', 200, { path: made('lead') }),
  api('GET /v1/campaigns/:id/preflight', 200, { path: ofCampaign }),
  api('POST /v1/campaigns/:id/start', 200, { path: ofCampaign }),
  api('POST /v1/campaigns/:id/pause', 200, { path: ofCampaign }),
  api('POST /v1/campaigns/:id/resume', 200, { path: ofCampaign }),
  api('POST /v1/campaigns/:id/cancel', 200, { path: ofCampaign }),
  api('GET /v1/campaigns/:id/leads.csv', 200, { path: ofCampaign }),
  api('GET /v1/campaigns/:id/hot-leads.csv', 200, { path: ofCampaign }),
  api('GET /v1/campaigns/:id/errors.csv', 200, { path: ofCampaign }),
];

const CALLS: readonly Row[] = [
  api('POST /v1/calls', 201, {
    sent: ({ owner }) => ({ body: { agent_id: owner.agent, to: '+14155550104' } }),
    keep: (scene, body: { id?: string; provider_call_id?: string }) =>
      void Object.assign(scene.made, { call: body.id!, execution: body.provider_call_id! }),
  }),
  api('GET /v1/calls', 200),
  api('GET /v1/calls/:id', 200, { path: made('call') }),
  api('POST /v1/calls/:id/cancel', 200, { path: made('call') }),
  {
    route: 'POST /webhooks/:provider/:webhook_key',
    credential: 'provider',
    status: 200,
    stranger: 401,
    path: ({ owner }) => ({ provider: 'bolna', webhook_key: owner.webhook.split('/').at(-1)! }),
    sent: ({ made }) => ({ body: { id: made['execution'], status: 'stopped', updated_at: new Date().toISOString() } }),
  },
  api('GET /v1/calls/:id/events', 200, {
    path: made('call'),
    keep: (scene, body: { data?: { id: string }[] }) => void (scene.made['event'] = body.data![0]!.id),
  }),
  api('POST /v1/events/:id/replay', 200, { credential: 'admin', path: made('event') }),
  api('POST /v1/calls/:id/analysis', 200, { path: made('call'), sent: () => ({ body: { score: 80, evidence: 'wants it' } }) }),
];

const REST: readonly Row[] = [
  api('POST /v1/suppressions', 201, { sent: () => ({ body: { phone: '+14155550777' } }) }),
  api('GET /v1/suppressions', 200),
  api('DELETE /v1/suppressions/:phone', 204, { path: () => ({ phone: encodeURIComponent('+14155550777') }) }),
  api('GET /v1/notifications', 200),
  api('POST /v1/notifications/:id/send', 202, { path: ({ failedMails }) => ({ id: failedMails[0] }) }),
  api('GET /v1/status', 200),
  { route: 'GET /links/:token', credential: 'link', status: 200, stranger: 404, path: ({ token }) => ({ token }) },
  {
    route: 'POST /links/:token',
    credential: 'link',
    status: 200,
    stranger: 404,
    path: ({ token }) => ({ token }),
    sent: () => form({ on: 'false' }),
  },
  {
    route: 'POST /webhooks/mail/postmark',
    credential: 'mail',
    status: 200,
    stranger: 401,
    sent: () => ({ body: { RecordType: 'Delivery', Email: 'owner@ringleader.test' } }),
  },
  open('GET /health'),
  open('GET /openapi.json'),
  open('GET /docs'),
  open('GET /assets/app.css'),
  open('GET /assets/app.js'),
];

const PAGES: readonly Row[] = [
  { route: 'POST /sign-in', credential: 'none', status: 303, stranger: 303, sent: ({ owner }) => form({ key: owner.key }) },
  page('GET /system', 200, { credential: 'system' }),
  page('GET /', 200, { stranger: 200 }), // the page to sign in
  page('GET /campaigns/new', 200),
  page('POST /campaigns', 303, {
    sent: ({ owner }) => form({ name: 'By form', agent_id: owner.agent, days: '1', start: '09:00', end: '18:00' }),
  }),
  page('GET /campaigns/:id', 200, { path: draft }),
  page('GET /campaigns/:id/live', 200, { path: draft }),
  page('POST /campaigns/:id/leads', 200, { path: draft, sent: () => ({ raw: 'phone\n+14155550106\n', headers: CSV }) }),
  page('GET /campaigns/:id/leads.csv', 200, { path: draft }),
  page('GET /campaigns/:id/hot-leads.csv', 200, { path: draft }),
  page('GET /campaigns/:id/errors.csv', 200, { path: draft }),
  page('GET /mails', 200),
  page('POST /mails/preferences', 303, { sent: () => form({ type: 'campaign_summary', on: 'true' }) }),
  page('POST /mails/:id/send', 303, { path: ({ failedMails }) => ({ id: failedMails[1] }) }),
  page('POST /campaigns/:id/start', 303, { path: draft }),
  page('POST /campaigns/:id/pause', 303, { path: draft }),
  page('POST /campaigns/:id/resume', 303, { path: draft }),
  page('POST /campaigns/:id/cancel', 303, { path: draft }),
  { route: 'POST /sign-out', credential: 'none', status: 303, stranger: 303 },
];

export const ROWS: readonly Row[] = [...ACCOUNT, ...CAMPAIGNS, ...CALLS, ...REST, ...PAGES];
