/** What somebody who is signed in can do about mails. */
import { Id } from '../../lib/contract.ts';
import { notFound, Refusal } from '../../lib/errors.ts';
import { offTypes, sweepSoon } from '../../lib/summarise.ts';
import { found } from '../respond.ts';
import { pageAnswer, seeOther } from './answers.ts';
import { mailsPage } from './mails-page.ts';
import { Switch } from './preferences.ts';
import { FORM_LIMIT, readForm } from './read-form.ts';
import type { Visit } from './visits.ts';

const MAILS_SHOWN = 50;

/** `status` and `error` say why the last button did nothing. */
export const showMails = async (visit: Visit, status = 200, error: string | null = null): Promise<Response> => {
  const { deps, account, viewer } = visit;
  const asked = new URL(visit.request.url).searchParams.get('after');
  const after = asked !== null && /^\d{1,18}$/.test(asked) ? asked : null;
  const configuredOff = offTypes(deps.config);
  const rows = await deps.verbs.listNotifications(account, viewer.now, after, MAILS_SHOWN + 1);
  const mails = rows.slice(0, MAILS_SHOWN);
  return pageAnswer(
    status,
    mailsPage({
      viewer,
      preferences: await deps.verbs.getPreferences(account, viewer.now),
      status: await deps.verbs.accountStatus(account, viewer.now, configuredOff),
      mails,
      configuredOff,
      older: rows.length > mails.length ? `/mails?after=${mails.at(-1)?.seq ?? ''}` : null,
      error,
    }),
  );
};

/** Switches a type of mail on or off. @throws {Refusal} 400 for a form that is not ours */
export const switchMail = async (visit: Visit): Promise<Response> => {
  const sent = Switch.safeParse(Object.fromEntries(await readForm(visit.request, FORM_LIMIT)));
  if (!sent.success) throw new Refusal(400, 'validation', 'The form could not be read.');
  await visit.deps.verbs.setPreference(visit.account, visit.viewer.now, sent.data.type, sent.data.on === 'true');
  return seeOther('/mails');
};

/** Sends a mail again; the page says so when it cannot be. @throws {Refusal} 404 */
export const sendMailAgain = async (visit: Visit): Promise<Response> => {
  const id = Id.safeParse(visit.params['id']);
  if (!id.success) throw notFound();
  try {
    found(await visit.deps.verbs.requestSend(visit.account, visit.viewer.now, id.data));
  } catch (error) {
    if (!(error instanceof Refusal) || error.status === 404) throw error;
    return showMails(visit, error.status, error.message);
  }
  sweepSoon(visit.deps);
  return seeOther('/mails');
};
