/** A finished campaign for the tests of the mail; every test alters what it is about. */
import type { SummaryMailData } from '../../lib/domain/summary-mail.ts';

export const sample = (changes: Partial<SummaryMailData> = {}): SummaryMailData => ({
  campaignName: 'Spring renewals 2026',
  accountName: 'Northwind Solar',
  figures: {
    leads: 60,
    dialled: 58,
    reached: 41,
    hot_leads: 12,
    completed_seconds: 3567,
    completed_calls: 41,
    dispositions: { completed: 41, no_answer: 8, busy: 4, voicemail: 3, failed: 2 },
  },
  top: [
    {
      name: 'Amélie Durand',
      phone: '+33142685312',
      score: 100,
      summary: 'Wants the contract sent today and asked who signs on our side.',
    },
    { name: 'نور الهدى', phone: '+971501234502', score: 96, summary: 'يريد عرض سعر قبل يوم الخميس' },
    {
      name: "Siobhán O'Brien, PhD",
      phone: '+14155550104',
      score: 92.5,
      summary: 'Budget approved; compares us with one competitor and decides after the demo on Tuesday, her colleague joins.',
    },
    { name: null, phone: '+14155550106', score: 88, summary: null },
    { name: '山田 太郎', phone: '+81312345608', score: null, summary: 'Tagged hot by the agent.' },
  ],
  hotList: { kind: 'attached', fileName: 'Spring_renewals_2026_hot_leads.csv' },
  campaignUrl: 'https://ringleader.example/campaigns/0b0e7c1e-7a6f-4b39-9c39-0d3a2a1b7c11',
  preferencesUrl: 'https://ringleader.example/preferences',
  ...changes,
});
