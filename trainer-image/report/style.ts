/** The report's style sheet: light and dark by the reader's system, one column on a phone. */
export const style = `
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b1f24;--soft:#5b6570;--line:#e2e6ea;--policy:#2563eb;--held:#d97706;--second:#0d9488;--good:#15803d;--bad:#b42318;--warm:#fff6e5}
@media (prefers-color-scheme:dark){:root{--page:#0f1216;--card:#171b21;--ink:#e6e9ed;--soft:#97a1ac;--line:#2a3038;--policy:#6ea2ff;--held:#f2a93b;--second:#3fc7b6;--good:#4cc379;--bad:#ff7a6b;--warm:#2a2110}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:18px;margin:38px 0 12px}
p{margin:.3em 0}.soft,.note{color:var(--soft)}.note{font-size:13px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0 0}
.tile,figure,.sample,.box{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 14px}.tile b{display:block;font-size:22px;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.tile span{color:var(--soft);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:14px}
figure{margin:0;padding:14px 16px 10px}figcaption{display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline;margin-bottom:6px}
svg{display:block;width:100%;height:auto}.grid{stroke:var(--line);stroke-width:1}.tick{fill:var(--soft);font-size:11px}
polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}
g.policy polyline{stroke:var(--policy);stroke-width:1.3;opacity:.85}g.heldOut polyline{stroke:var(--held)}g.second polyline{stroke:var(--second)}
g.heldOut circle{fill:var(--held)}g.second circle{fill:var(--second)}
.key{font-size:13px;color:var(--soft)}.key::before{content:"";display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle;background:currentColor}
.key.policy::before{background:var(--policy)}.key.heldOut::before{background:var(--held)}.key.second::before{background:var(--second)}
.warning{background:var(--warm);border:1px solid var(--held);border-radius:10px;padding:10px 14px;margin:10px 0}
.verdict{border-left:3px solid var(--policy);padding:2px 0 2px 14px;margin:14px 0 0}
.sample{margin:14px 0 0;overflow:hidden}.prompt{padding:12px 16px;border-bottom:1px solid var(--line);max-height:12em;overflow:auto}.prompt pre{white-space:pre-wrap;font:inherit;margin:4px 0 0}
.pair{display:grid;grid-template-columns:1fr 1fr}.answer{padding:12px 16px}.answer+.answer{border-left:1px solid var(--line)}
.answer pre{white-space:pre-wrap;font:inherit;margin:6px 0 8px;max-height:22em;overflow:auto}
.label{font-size:12px;font-weight:600;text-transform:uppercase;letter-spacing:.05em;color:var(--soft)}
.chip{display:inline-block;font-size:12px;color:var(--soft);border:1px solid var(--line);border-radius:99px;padding:1px 9px;margin:0 4px 4px 0}
.chip.good{color:var(--good);border-color:currentColor}.chip.bad{color:var(--bad);border-color:currentColor}
.box{padding:4px 16px}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:8px 10px 8px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}th{font-size:13px;color:var(--soft);font-weight:600}td.n{font-variant-numeric:tabular-nums}
details pre{overflow:auto;font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}summary{cursor:pointer;padding:8px 0}
@media (max-width:700px){main{padding:18px 12px 40px}.pair{grid-template-columns:1fr}.answer+.answer{border-left:0;border-top:1px solid var(--line)}h1{font-size:22px}.tick{font-size:18px}.wide{overflow-x:auto}}
`;
