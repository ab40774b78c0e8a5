/** What somebody who is signed in can do on the pages: each visit calls the same verbs and use cases as the API. */
import { moveCampaign, type Move } from '../../lib/campaign-moves.ts';
import { Id, type RowError } from '../../lib/contract.ts';
import type { Deps } from '../../lib/deps.ts';
import { notFound, Refusal } from '../../lib/errors.ts';
import { followUpload } from '../../lib/follow.ts';
import { importCsv } from '../../lib/import-leads.ts';
import type * as z from 'zod';
import { mediaType, refuseEncoded } from '../input.ts';
import { found } from '../respond.ts';
import { fragmentAnswer, pageAnswer, seeOther } from './answers.ts';
import { blankForm, campaignFormPage, parseForm, typedIn } from './campaign-form.ts';
import { campaignListPage } from './campaign-list.ts';
import { campaignPage, LEADS_SHOWN, liveFragment } from './campaign-page.ts';
import { arriving, FORM_LIMIT, readForm } from './read-form.ts';
import { FORM_FILE_MB, uploadResult, type ImportReport, type UploadShown } from './upload.ts';
import type { Viewer } from './words.ts';

const CAMPAIGNS_SHOWN = 50;
const ERRORS_SHOWN = 100;

/** One request of somebody who is signed in. */
export interface Visit {
  deps: Deps;
  viewer: Viewer;
  account: string;
  request: Request;
  params: Readonly<Record<string, string>>;
}
const campaignId = (visit: Visit): string => {
  const id = Id.safeParse(visit.params['id']);
  if (!id.success) throw notFound();
  return id.data;
};
const now = (visit: Visit): Date => visit.viewer.now;

/** The list of campaigns, the newest first, from `?after=` on. */
export const showCampaigns = async (visit: Visit): Promise<Response> => {
  const asked = new URL(visit.request.url).searchParams.get('after');
  const after = asked !== null && /^\d{1,18}$/.test(asked) ? asked : null;
  const rows = await visit.deps.verbs.listCampaigns(visit.account, now(visit), after, CAMPAIGNS_SHOWN + 1);
  const shown = rows.slice(0, CAMPAIGNS_SHOWN);
  const older = rows.length > shown.length ? `/?after=${shown.at(-1)?.seq ?? ''}` : null;
  return pageAnswer(200, campaignListPage(visit.viewer, shown, older));
};

/** The form that makes a campaign, as it is first shown. */
export const showForm = async (visit: Visit): Promise<Response> => {
  const agents = await visit.deps.verbs.listAgents(visit.account, now(visit), null, 200);
  const typed = blankForm(visit.viewer, agents);
  return pageAnswer(200, campaignFormPage({ viewer: visit.viewer, agents, typed, errors: [], message: null }));
};

/** Makes a campaign and shows it; what will not do is said in the form, which keeps what was typed. */
export const createCampaign = async (visit: Visit): Promise<Response> => {
  const { deps, viewer } = visit;
  const typed = typedIn(await readForm(visit.request, FORM_LIMIT));
  const parsed = parseForm(typed);
  const again = async (status: number, errors: Refusal['details'], message: string | null): Promise<Response> => {
    const agents = await deps.verbs.listAgents(visit.account, now(visit), null, 200);
    return pageAnswer(status, campaignFormPage({ viewer, agents, typed, errors, message }));
  };
  if ('errors' in parsed) return again(400, parsed.errors, null);
  try {
    const campaign = await deps.verbs.createCampaign(visit.account, now(visit), deps.newId(), parsed.campaign);
    return seeOther(`/campaigns/${campaign.id}`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return again(error.status, error.details, error.message);
  }
};

/** The campaign's page; `status` and `error` say why the last button did nothing. */
export const showCampaign = async (
  visit: Visit,
  { status = 200, error = null, upload }: { status?: number; error?: string | null; upload?: UploadShown } = {},
): Promise<Response> => {
  const { verbs } = visit.deps;
  const id = campaignId(visit);
  const campaign = found(await verbs.getCampaign(visit.account, now(visit), id));
  const leads = found(await verbs.listLeads(visit.account, now(visit), id, null, null, null, LEADS_SHOWN, 'score'));
  const kept = async (): Promise<z.infer<typeof RowError>[]> =>
    found(await verbs.listImportErrors(visit.account, now(visit), id, null, ERRORS_SHOWN));
  const shown: UploadShown = upload ?? { kind: 'kept', errors: await kept() };
  return pageAnswer(status, campaignPage({ viewer: visit.viewer, campaign, leads, upload: shown, error }));
};

/** The part of the campaign's page that changes; 304 when the browser has it already. */
export const showLive = async (visit: Visit): Promise<Response> => {
  const { verbs } = visit.deps;
  const id = campaignId(visit);
  const campaign = found(await verbs.getCampaign(visit.account, now(visit), id));
  const leads = found(await verbs.listLeads(visit.account, now(visit), id, null, null, null, LEADS_SHOWN, 'score'));
  return fragmentAnswer(visit.request, liveFragment(campaign, leads, visit.viewer, null));
};

/** The file as the page's script sends it: streamed, however large. */
const importStreamed = async ({ deps, account, request }: Visit, id: string): Promise<ImportReport> => {
  const body = arriving(request);
  try {
    refuseEncoded(request.headers);
    const length = request.headers.get('content-length');
    return await importCsv(deps, account, id, body.stream, { declaredBytes: length === null ? null : Number(length) });
  } finally {
    await body.rest();
  }
};

/** The file as a plain form sends it: whole, and small. */
const importForm = async ({ deps, account, request }: Visit, id: string): Promise<ImportReport> => {
  const file = (await readForm(request, FORM_FILE_MB * 1_048_576)).get('file');
  if (file === null || typeof file === 'string') throw new Refusal(400, 'validation', 'Choose a CSV file first.');
  return importCsv(deps, account, id, file.stream());
};

/** Takes a CSV and answers with what became of its rows: a part of the page for the page's script, the page itself for a plain form. */
export const upload = async (visit: Visit): Promise<Response> => {
  const id = campaignId(visit);
  const scripted = mediaType(visit.request.headers) === 'text/csv';
  const answer = (status: number, shown: UploadShown): Promise<Response> =>
    scripted ? pageAnswer(status, uploadResult(id, shown)) : showCampaign(visit, { status, upload: shown });
  try {
    const report = await (scripted ? importStreamed : importForm)(visit, id);
    return await answer(200, { kind: 'report', report });
  } catch (error) {
    if (!(error instanceof Refusal) || error.status === 404) throw error;
    return answer(error.status, { kind: 'refused', refusal: error });
  } finally {
    followUpload(visit.deps, visit.account);
  }
};

/** A button that moves the campaign on; the page says so when it is in the wrong state for that. */
export const move =
  (action: Move) =>
  async (visit: Visit): Promise<Response> => {
    try {
      found(await moveCampaign(visit.deps, visit.account, campaignId(visit), action));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status === 404) throw error;
      return showCampaign(visit, { status: error.status, error: error.message });
    }
    return seeOther(`/campaigns/${campaignId(visit)}`);
  };
