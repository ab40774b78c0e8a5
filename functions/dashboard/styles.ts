/** The pages' style: ink on paper, colour only where it means something; light and dark; from phone width up. */
export const APP_CSS = `
:root {
  color-scheme: light dark;
  --paper: #faf9f7; --card: #fff; --ink: #1d1b19; --soft: #66615b; --line: #e3dfd9; --field: #8d877f; --track: #e9e5df;
  --hot: #b93412; --warm: #8a5a00; --cold: #46617a; --good: #1f6b43; --info: #2456a6; --bad: #a3201d;
  --hot-bg: #fde7e0; --warm-bg: #fbefd2; --cold-bg: #e6edf3; --good-bg: #e0f2e7; --info-bg: #e3ecfa; --bad-bg: #fbe5e4; --grey-bg: #efece7;
  --reached: #2f8f5b; --unreached: #a39c93; --other: #cfc9c0; --calling: #3b76d1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161514; --card: #1f1d1c; --ink: #f1eeea; --soft: #a8a29a; --line: #35312e; --field: #7d766f; --track: #332f2c;
    --hot: #ff9a7a; --warm: #f0c060; --cold: #a3c1dc; --good: #7fd6a4; --info: #9cc0fa; --bad: #ff9b96;
    --hot-bg: #47200f; --warm-bg: #3d2f0d; --cold-bg: #22303c; --good-bg: #16351f; --info-bg: #1b2c47; --bad-bg: #451a1a; --grey-bg: #322f2c;
    --reached: #3fa56c; --unreached: #7a736c; --other: #544e49; --calling: #5b93ea;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif;
}
main, .bar, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
main { padding-block: 1.25rem 2rem; }
h1, h2 { line-height: 1.2; letter-spacing: -0.01em; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; margin: 0 0 0.75rem; }
h2 { font-size: 1.15rem; margin: 0; }
p { margin: 0 0 0.75rem; }
a { color: inherit; text-underline-offset: 0.2em; text-decoration-color: var(--field); }
a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 3px solid var(--calling); outline-offset: 2px; border-radius: 4px; }
.sr { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 0.5rem; background: var(--card); padding: 0.5rem 1rem; z-index: 1; }
.bar { display: flex; align-items: center; gap: 1rem; padding-block: 0.9rem; border-bottom: 1px solid var(--line); }
.bar form { margin: 0; }
.brand { display: flex; flex: none; align-items: center; gap: 0.5rem; margin-right: auto; font-weight: 700; text-decoration: none; letter-spacing: -0.01em; }
.mark { width: 1.6rem; height: 1.6rem; fill: none; stroke: currentColor; stroke-width: 4; }
.mark .dot { fill: #e4572e; stroke: var(--paper); stroke-width: 2; }
.bar nav { display: flex; gap: 1rem; }
.bar nav a { color: var(--soft); text-decoration: none; font-weight: 500; }
.bar nav a:hover { color: var(--ink); }
.who { color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
footer { color: var(--soft); font-size: 0.875rem; padding-block: 1rem 2rem; border-top: 1px solid var(--line); }
.heading { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0.5rem 1rem; margin-bottom: 0.75rem; }
.heading > * { margin: 0; }
.crumbs { margin-bottom: 0.35rem; font-size: 0.9rem; color: var(--soft); }
.story { font-size: 1.05rem; color: var(--soft); overflow-wrap: anywhere; }
.hint { color: var(--soft); font-size: 0.875rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.25rem; margin: 0 0 1.25rem; }
.card > :last-child { margin-bottom: 0; }
.narrow { max-width: 26rem; margin: 8vh auto; }
.medium { max-width: 40rem; margin: 0 auto; }
.empty h2 { margin-bottom: 0.5rem; }
.empty ol { padding-left: 1.25rem; }
code { font: 0.9em ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace; background: var(--grey-bg); padding: 0.1em 0.35em; border-radius: 5px; }

button, .button {
  display: inline-block; font: inherit; font-weight: 600; line-height: 1.25; padding: 0.55rem 1rem; border-radius: 9px; cursor: pointer;
  border: 1px solid var(--field); background: var(--card); color: var(--ink); text-decoration: none; white-space: nowrap;
}
button:hover, .button:hover { border-color: var(--ink); }
.primary { background: var(--ink); border-color: var(--ink); color: var(--paper); }
.primary:hover { opacity: 0.88; }
.danger { background: var(--bad); border-color: var(--bad); color: var(--paper); }
.quiet { border-color: transparent; background: none; padding-inline: 0.5rem; font-weight: 500; color: var(--soft); }
button:disabled { opacity: 0.45; cursor: not-allowed; }
.actions { display: flex; flex-wrap: wrap; align-items: center; gap: 0.6rem; }
.actions form { margin: 0; }
.confirm { position: relative; }
.confirm summary { list-style: none; }
.confirm summary::-webkit-details-marker { display: none; }
.sheet {
  position: absolute; right: 0; top: calc(100% + 0.4rem); z-index: 1; width: min(20rem, 80vw); padding: 1rem; border-radius: 12px;
  background: var(--card); border: 1px solid var(--line); box-shadow: 0 8px 30px rgb(0 0 0 / 0.18);
}

.pill { display: inline-block; font-size: 0.8rem; font-weight: 600; line-height: 1.4; letter-spacing: 0; padding: 0.1rem 0.6rem; border-radius: 99px; white-space: nowrap; background: var(--grey-bg); color: var(--soft); vertical-align: middle; }
.pill.active, .pill.calling { background: var(--info-bg); color: var(--info); }
.pill.completed, .pill.reached, .pill.sent, .pill.on { background: var(--good-bg); color: var(--good); }
.pill.paused, .pill.warm, .pill.unknown { background: var(--warm-bg); color: var(--warm); }
.pill.hot { background: var(--hot-bg); color: var(--hot); }
.pill.cold { background: var(--cold-bg); color: var(--cold); }
.pill.invalid, .pill.canceled, .pill.failed { background: var(--bad-bg); color: var(--bad); }
.hot-text { color: var(--hot); font-weight: 600; }

.progress { display: block; height: 0.6rem; border-radius: 99px; overflow: hidden; background: var(--track); }
.progress svg { display: block; width: 100%; height: 100%; }
.progress .reached { fill: var(--reached); }
.progress .unreached { fill: var(--unreached); }
.progress .calling { fill: var(--calling); }
.progress rect { fill: var(--other); }
.done { display: flex; align-items: baseline; gap: 0.6rem; color: var(--soft); margin-bottom: 0.5rem; }
.done b { font-size: 1.6rem; color: var(--ink); font-variant-numeric: tabular-nums; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: 0.6rem; margin: 1rem 0 0; }
#temperatures { grid-template-columns: repeat(3, 1fr); }
.tile { border: 1px solid var(--line); border-radius: 10px; padding: 0.6rem 0.85rem; }
.tile dt { color: var(--soft); font-size: 0.875rem; }
.tile dd { margin: 0; font-size: 1.6rem; font-weight: 700; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile.hot { background: var(--hot-bg); border-color: transparent; }
.tile.warm { background: var(--warm-bg); border-color: transparent; }
.tile.cold { background: var(--cold-bg); border-color: transparent; }
.tile.hot :is(dt, dd) { color: var(--hot); }
.tile.warm :is(dt, dd) { color: var(--warm); }
.tile.cold :is(dt, dd) { color: var(--cold); }
.small { margin-top: 0.6rem; }
.small .tile dd { font-size: 1.2rem; }
.key dt::before { content: ''; display: inline-block; width: 0.6rem; height: 0.6rem; margin-right: 0.4rem; border-radius: 3px; background: var(--other); }
.key.reached dt::before { background: var(--reached); }
.key.unreached dt::before { background: var(--unreached); }
.key.calling dt::before { background: var(--calling); }
.key.waiting dt::before { background: var(--track); box-shadow: inset 0 0 0 1px var(--field); }
.calls { margin-top: 1rem; color: var(--soft); }
.calls b { color: var(--ink); }
.calls .fact { white-space: nowrap; margin-left: 0.9rem; font-variant-numeric: tabular-nums; }

.campaigns { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.75rem; }
.campaign { display: block; background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1rem 1.25rem; text-decoration: none; }
.campaign:hover { border-color: var(--field); }
.campaign .title { display: flex; flex-wrap: wrap; gap: 0.25rem 0.6rem; align-items: center; font-weight: 650; font-size: 1.05rem; margin-bottom: 0.6rem; overflow-wrap: anywhere; }
.campaigns + p { margin-top: 1rem; }
.switches { list-style: none; margin: 0; padding: 0; }
.switches li { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: 0.85rem 0; border-top: 1px solid var(--line); }
.switches li:first-child { border-top: 0; padding-top: 0; }
.switches li:last-child { padding-bottom: 0; }
.switches li > div { min-width: 0; overflow-wrap: anywhere; }
.switches .hint { margin: 0.2rem 0 0; }
.switches form { flex: none; margin: 0; }
h2 + .card { margin-top: 0.75rem; }
.facts { display: flex; flex-wrap: wrap; gap: 0.1rem 1.2rem; margin-top: 0.5rem; color: var(--soft); font-size: 0.9rem; font-variant-numeric: tabular-nums; }

table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-size: 0.8rem; font-weight: 600; color: var(--soft); }
td, th { padding: 0.6rem 0.75rem; vertical-align: top; border-bottom: 1px solid var(--line); }
.leads { background: var(--card); border: 1px solid var(--line); border-radius: 14px; border-spacing: 0; border-collapse: separate; }
.leads tr:last-child td { border-bottom: 0; }
.leads td { font-size: 0.94rem; overflow-wrap: anywhere; }
.leads .score { white-space: nowrap; }
.leads .score b { font-variant-numeric: tabular-nums; margin-left: 0.25rem; }
.leads .phone { white-space: nowrap; font-variant-numeric: tabular-nums; }
.leads .hint { display: block; }
.leads .last { white-space: nowrap; }
.leads .person { min-width: 9rem; }
.leads .evidence { min-width: 12rem; color: var(--soft); }
.downloads { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; font-size: 0.9rem; }
.rules { margin-top: 1rem; }
.scroll { max-height: 20rem; overflow: auto; border: 1px solid var(--line); border-radius: 10px; margin-bottom: 0.75rem; }
.errors td, .errors th { padding: 0.4rem 0.75rem; font-size: 0.9rem; }
.errors tr:last-child td { border-bottom: 0; }

.figures { background: var(--card); border: 1px solid var(--line); border-radius: 14px; border-spacing: 0; border-collapse: separate; margin-bottom: 1.25rem; }
.figures tr:last-child td { border-bottom: 0; }
.figures td { font-size: 0.94rem; }
.figures .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures .hint { display: block; }
.wide { position: relative; overflow-x: auto; }
dl + h2, .tiles + .hint { margin-top: 1rem; }
.hours { width: 12rem; height: 1.6rem; display: block; }
.hours rect { fill: var(--calling); }
.hours .none { fill: var(--track); }
.pill.met { background: var(--good-bg); color: var(--good); }
.pill.missed { background: var(--bad-bg); color: var(--bad); }

.stack > * { margin-bottom: 1.1rem; }
.stack > :last-child { margin-bottom: 0; }
.field { border: 0; padding: 0; margin: 0 0 1.1rem; min-width: 0; }
label, legend { display: block; font-weight: 600; margin-bottom: 0.3rem; padding: 0; }
.field > .hint { margin: 0.25rem 0 0; }
.field > legend + .hint { margin: 0 0 0.6rem; }
input:not([type='checkbox']), select {
  font: inherit; width: 100%; padding: 0.5rem 0.7rem; color: var(--ink); background: var(--card); border: 1px solid var(--field); border-radius: 9px; min-height: 2.6rem;
}
input[type='file'] { width: auto; max-width: 100%; flex: 1 1 16rem; padding: 0.35rem; border-style: dashed; }
input[type='file']::file-selector-button { font: inherit; font-weight: 600; border: 0; border-radius: 6px; padding: 0.3rem 0.7rem; margin-right: 0.7rem; background: var(--grey-bg); color: var(--ink); }
[aria-invalid] { border-color: var(--bad) !important; border-width: 2px !important; }
.error { color: var(--bad); font-weight: 600; font-size: 0.9rem; margin: 0.3rem 0 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0 1rem; }
.pair .field { margin-bottom: 0.8rem; }
.days { display: flex; flex-wrap: wrap; gap: 0.4rem; margin-bottom: 0.9rem; }
.days label { margin: 0; font-weight: 500; }
.days input { position: absolute; opacity: 0; }
.days span { display: block; padding: 0.4rem 0.7rem; border: 1px solid var(--field); border-radius: 9px; cursor: pointer; }
.days input:checked + span { background: var(--ink); border-color: var(--ink); color: var(--paper); }
.days input:focus-visible + span { outline: 3px solid var(--calling); outline-offset: 2px; }
summary { cursor: pointer; }
.more > summary, .upload > summary { font-weight: 600; }
.more[open] > summary, .upload[open] > summary { margin-bottom: 0.9rem; }
.upload:not([open]) { background: none; border: 0; padding: 0; }
.upload form { margin: 0; }
.upload .hint { margin: 0.5rem 0 0; }
.upload summary .hint { font-weight: 400; margin-left: 0.5rem; }
#upload-result:not(:empty) { margin-top: 1rem; }
#upload-result > :last-child { margin-bottom: 0; }
progress { width: 100%; height: 0.6rem; margin-top: 0.75rem; accent-color: var(--calling); }
.note { padding: 0.65rem 0.9rem; border-radius: 9px; border-left: 4px solid; background: var(--grey-bg); overflow-wrap: anywhere; }
.note.bad { background: var(--bad-bg); color: var(--bad); }
.note.warn { background: var(--warm-bg); color: var(--warm); }
.note.good { background: var(--good-bg); color: var(--good); }

@media (max-width: 50rem) {
  main, .bar, footer { padding-inline: 1rem; }
  h1 { font-size: 1.45rem; }
  .card { padding: 1rem; }
  .actions { position: relative; }
  .confirm { position: static; }
  .sheet { right: auto; left: 0; }
  .leads, .leads tbody { display: block; border: 0; background: none; }
  .leads thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .leads tr { display: grid; grid-template-columns: 1fr auto; gap: 0.15rem 0.75rem; padding: 0.85rem 1rem; margin-bottom: 0.6rem; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
  .leads td { display: block; border: 0; padding: 0; }
  .leads .person { grid-area: 1 / 1; }
  .leads .score { grid-area: 1 / 2; text-align: right; }
  .leads .phone { grid-area: 2 / 1; }
  .leads .status { grid-area: 2 / 2; text-align: right; }
  .leads .last { grid-area: 3 / 1 / auto / span 2; color: var(--soft); }
  .leads .last .hint { display: inline; margin-left: 0.5rem; }
  .leads .last .hint:first-child { margin: 0; }
  .leads .evidence { grid-area: 4 / 1 / auto / span 2; min-width: 0; }
  .leads .evidence:empty { display: none; }
}
@media (max-width: 30rem) {
  #history li { flex-wrap: wrap; }
  #history li > div { flex: 1 1 100%; }
  .tiles.small { grid-template-columns: repeat(2, 1fr); }
  .tile { padding: 0.5rem 0.7rem; }
  .calls .fact { margin: 0 0.9rem 0 0; }
}
@media (prefers-reduced-motion: no-preference) {
  .progress rect { transition: x 0.6s, width 0.6s; }
}
`;
