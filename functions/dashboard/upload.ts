/** Where a CSV goes in, and what became of its rows. */
import { html } from 'hono/html';
import * as z from 'zod';
import type { ImportReport as ReportSchema, RowError } from '../../lib/contract.ts';
import type { Refusal } from '../../lib/errors.ts';
import { count, counted, label, leadTotal, type CampaignView, type Html } from './words.ts';

/** The most that a form without scripts may send; with scripts the file streams and may be far larger. */
export const FORM_FILE_MB = 5;

export type ImportReport = z.infer<typeof ReportSchema>;
type RowErrorView = z.infer<typeof RowError>;
/** The last upload: its report, the refusal that ended it, or (on a fresh page) the bad rows that are kept. */
export type UploadShown =
  | { kind: 'report'; report: ImportReport }
  | { kind: 'refused'; refusal: Refusal }
  | { kind: 'kept'; errors: readonly RowErrorView[] };

const errorTable = (errors: readonly RowErrorView[]): Html =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="Rows that could not be used">
    <table class="errors">
      <thead>
        <tr>
          <th scope="col">Row</th>
          <th scope="col">Column</th>
          <th scope="col">What is wrong</th>
        </tr>
      </thead>
      <tbody>
        ${errors.map(
          (error) =>
            html`<tr>
              <td>${count(error.row)}</td>
              <td>${error.column ?? ''}</td>
              <td>${error.message}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;

const correct = (campaign: string): Html =>
  html`<p class="hint">
    <a href="/campaigns/${campaign}/errors.csv" download>Download the bad rows as CSV</a>, correct them and upload that file.
  </p>`;

const reported = (campaign: string, report: ImportReport): Html => {
  const parts = [
    `${counted(report.imported, 'lead')} added`,
    report.suppressed > 0 && `${count(report.suppressed)} of them on the do-not-call list`,
    report.duplicates > 0 && counted(report.duplicates, 'duplicate'),
    report.invalid > 0 && `${counted(report.invalid, 'row')} could not be used`,
  ].filter((part) => part !== false);
  return html`<p class="note ${report.invalid > 0 ? 'warn' : 'good'}">
      <b>${counted(report.rows, 'row')} read:</b> ${parts.join(', ')}.
    </p>
    ${report.errors.length > 0 && [errorTable(report.errors), report.errors.length < report.invalid ? html`<p class="hint">The first ${count(report.errors.length)} are shown.</p>` : '', correct(campaign)]}`;
};

/** What went in before the file turned out to be broken or was cut off. */
const Partial = z.object({ imported: z.int() });
const refused = (refusal: Refusal): Html => {
  const partial = Partial.safeParse(refusal.extra);
  const details = refusal.details.map((detail) => `${label(detail.field)}: ${detail.rule}`).join('; ');
  return html`<p class="note bad">
    ${refusal.message}${details !== '' && html` (${details})`}
    ${partial.success && partial.data.imported > 0 && html`<br />${counted(partial.data.imported, 'lead')} went in before that and stay. Upload the corrected file: nobody is added twice.`}
  </p>`;
};

const kept = (campaign: string, errors: readonly RowErrorView[]): Html =>
  errors.length === 0
    ? html``
    : html`<p class="note warn">Rows of earlier uploads that could not be used:</p>
        ${errorTable(errors)} ${correct(campaign)}`;

/** What became of an upload; also the answer to the page's script. */
export const uploadResult = (campaign: string, shown: UploadShown): Html => {
  if (shown.kind === 'report') return reported(campaign, shown.report);
  return shown.kind === 'refused' ? refused(shown.refusal) : kept(campaign, shown.errors);
};

/** Stands in for the card in what the script asks for again: whatever the card holds is left as it is. */
export const uploadKept = html`<details class="card upload" id="upload" data-keep></details>`;

/** The card that takes a file, open when the campaign has no leads or there is something to say about an upload. */
export const uploadCard = (campaign: CampaignView, shown: UploadShown): Html => {
  const first = leadTotal(campaign) === 0;
  const country = campaign.default_country;
  const open = first || shown.kind !== 'kept';
  return html`<details class="card upload" id="upload" data-keep ${open && html`open`}>
    <summary>
      ${first ? 'Upload leads' : 'Add leads'}${shown.kind === 'kept' && shown.errors.length > 0 && html` <span class="hint">some rows could not be used</span>`}
    </summary>
    <form method="post" action="/campaigns/${campaign.id}/leads" enctype="multipart/form-data" id="upload-form">
      <label for="file">CSV file</label>
      <div class="actions">
        <input type="file" id="file" name="file" accept=".csv,.tsv,.txt,text/csv" required aria-describedby="file-hint" /><button
          class="primary"
        >
          Upload
        </button>
      </div>
      <p class="hint" id="file-hint">
        One column with the phone number; name, email, company and timezone are recognised too. Every other column is handed to
        the voice agent.
        ${country === null ? 'Numbers need their country code, such as +1 or +44.' : `Numbers without a country code are taken as ${country}.`}
      </p>
      <progress id="sent" max="100" hidden aria-label="Upload"></progress>
      <noscript><p class="hint">Without scripts a file may have up to ${FORM_FILE_MB} MB.</p></noscript>
    </form>
    <div id="upload-result" role="status">${uploadResult(campaign.id, shown)}</div>
  </details>`;
};
