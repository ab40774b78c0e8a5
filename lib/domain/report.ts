/** The figures of a finished campaign and the words for them: the same for the mail's HTML, its text and its subject. */
import { oneLine } from './plain-text.ts';

/** What the database says of a campaign. Seconds and calls are of `completed` calls alone. */
export interface CampaignFigures {
  leads: number;
  /** Leads dialled at least once. */
  dialled: number;
  reached: number;
  hot_leads: number;
  completed_seconds: number;
  completed_calls: number;
  /** Calls by their disposition; one that did not occur may be missing. */
  dispositions: Readonly<Partial<Record<string, number>>>;
}

/** One line of the report: what is counted, and its value as text. */
export interface Figure {
  label: string;
  value: string;
}

/** Shown where there is nothing to divide by. */
const NONE = '–';
const DISPOSITION_LABELS: readonly (readonly [string, string])[] = [
  ['completed', 'Completed'],
  ['no_answer', 'No answer'],
  ['busy', 'Busy'],
  ['voicemail', 'Voicemail'],
  ['failed', 'Failed'],
  ['canceled', 'Canceled'],
  ['unknown', 'Unknown'],
];

/** A count as English text: `1,234`. */
export const countText = (n: number): string => n.toLocaleString('en-US');

/** `1 hot lead`, `12 hot leads`. */
export const hotLeadsText = (n: number): string => (n === 1 ? '1 hot lead' : `${countText(n)} hot leads`);

/** Reached ÷ leads dialled at least once as a whole per cent, halves up; a dash when nobody was dialled. */
export const successRate = ({ reached, dialled }: Pick<CampaignFigures, 'reached' | 'dialled'>): string =>
  dialled > 0 ? `${Math.round((reached * 100) / dialled)}%` : NONE;

/** Average minutes of `completed` calls with one decimal, halves up; a dash when there was none. */
export const averageMinutes = (figures: Pick<CampaignFigures, 'completed_seconds' | 'completed_calls'>): string =>
  figures.completed_calls > 0 ? (Math.round(figures.completed_seconds / (figures.completed_calls * 6)) / 10).toFixed(1) : NONE;

/** The head figures in reading order. */
export const headFigures = (figures: CampaignFigures): Figure[] => [
  { label: 'Leads', value: countText(figures.leads) },
  { label: 'Reached', value: countText(figures.reached) },
  { label: 'Success rate', value: successRate(figures) },
  { label: 'Average minutes', value: averageMinutes(figures) },
];

/** The dispositions that occurred, in a fixed order, with their share (0 to 1) of the most frequent one. */
export const dispositionFigures = ({ dispositions }: Pick<CampaignFigures, 'dispositions'>): (Figure & { share: number })[] => {
  const most = Math.max(1, ...DISPOSITION_LABELS.map(([key]) => dispositions[key] ?? 0));
  return DISPOSITION_LABELS.flatMap(([key, label]) => {
    const n = dispositions[key] ?? 0;
    return n > 0 ? [{ label, value: countText(n), share: n / most }] : [];
  });
};

/** `Campaign complete: {campaign} — {n} hot leads`: one line, nothing in it that could end a header. */
export const summarySubject = (campaignName: string, hotLeads: number): string =>
  oneLine(`Campaign complete: ${campaignName} — ${hotLeads === 1 ? '1 hot lead' : `${hotLeads} hot leads`}`);

/** A score as it is shown: at most two decimals, none when whole; a dash when only a tag was given. */
export const scoreText = (score: number | null): string => (score === null ? NONE : String(Math.round(score * 100) / 100));
