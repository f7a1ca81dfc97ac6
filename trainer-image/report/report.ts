import type { Comparison, Metrics } from '../../crds/progress.ts';
import { shownSource } from '../../crds/sources.ts';
import { reasonIn, type Finding } from '../data/quality/findings.ts';
import type { Entry } from '../metrics/history.ts';
import { brokenBy, preferredOf, type Answer, type Sample } from '../metrics/samples.ts';
import type { Signal } from '../metrics/signals.ts';
import { figure, type Chart, type Point } from './chart.ts';
import { html, Html } from './html.ts';
import { style } from './style.ts';
import { aboutZero } from './verdict.ts';

/** All that a report shows. */
export interface ReportContent {
  namespace: string;
  name: string;
  /** When it was written, RFC 3339. */
  time: string;
  /** The parts of the specification that decide the result. */
  settings: Record<string, unknown>;
  /** Facts in a line each, below the title. */
  facts: readonly string[];
  /** What the run came to and what to try next, in a sentence each. */
  verdict: readonly string[];
  /** What the reference is, after "The reference is". */
  reference: string;
  history: readonly Entry[];
  /** The SFT stage's; empty where there was none. */
  tuning: readonly Entry[];
  /** The step whose weights are exported. */
  exported: number;
  signals: readonly Signal[];
  findings: readonly Finding[];
  dropped: Readonly<Record<string, number>>;
  samples: readonly Sample[];
  comparison: Comparison | undefined;
}

const digits = (value: number | undefined): string =>
  value === undefined ? '–' : String(Number(value.toPrecision(4)));
const percent = (share: number | undefined): string =>
  share === undefined ? '–' : `${Number((100 * share).toPrecision(3))} %`;

function points(history: readonly Entry[], kind: Entry['kind'], name: keyof Metrics): Point[] {
  return history.flatMap(({ kind: own, step, metrics }) => {
    const value = metrics[name];
    return own === kind && value !== undefined ? [{ step, value }] : [];
  });
}

const one = (title: string, line: Chart['lines'][number], note: string): Chart => ({ title, note, lines: [line] });

/** A figure of the training steps and the same of the pairs held out. */
const courses =
  (entries: readonly Entry[]) =>
  (title: string, name: keyof Metrics, heldOut: keyof Metrics, note: string): Chart => ({
    title,
    note,
    lines: [
      { name: 'training', style: 'policy', points: points(entries, 'train', name) },
      { name: 'held out', style: 'heldOut', points: points(entries, 'heldOut', heldOut) },
    ],
  });

function tuningCharts({ tuning }: Pick<ReportContent, 'tuning'>): Chart[] {
  if (tuning.length === 0) return [];
  const note =
    'Cross-entropy of an answer per token; held out, of the chosen ones. Where that turns up, fine-tune for fewer epochs.';
  return [courses(tuning)('Fine-tuning loss', 'sftLoss', 'evalSftLoss', note)];
}

function charts({ history, signals }: Pick<ReportContent, 'history' | 'signals'>): Chart[] {
  const both = courses(history);
  const runaway = signals.some(({ reason }) => reason === 'MarginRunaway');
  return [
    both('Loss', 'loss', 'evalLoss', 'Held out should fall with training; where it turns up, the model overfits.'),
    both(
      'Reward margin',
      'rewardMargin',
      'evalRewardMargin',
      `Chosen minus rejected, in rewards.${runaway ? ' It runs away: see the warning above.' : ''}`,
    ),
    both(
      'Reward accuracy',
      'rewardAccuracy',
      'evalRewardAccuracy',
      'Share of pairs whose chosen answer has the higher reward.',
    ),
    {
      title: 'Held-out log-probability',
      note: 'Both may fall a little. When the chosen answers fall far, likelihood is displaced to others.',
      lines: [
        { name: 'chosen', style: 'second', points: points(history, 'heldOut', 'evalLogpsChosen') },
        { name: 'rejected', style: 'heldOut', points: points(history, 'heldOut', 'evalLogpsRejected') },
      ],
    },
    one(
      'KL from the reference',
      { name: 'held out', style: 'heldOut', points: points(history, 'heldOut', 'evalKL') },
      'Nats per answer token, exact, on at most 64 pairs: how far the policy has moved.',
    ),
    one(
      'Gradient norm',
      { name: 'training', style: 'policy', points: points(history, 'train', 'gradNorm') },
      'Before clipping. Spikes that grow ask for a lower learning rate.',
    ),
  ];
}

const tile = (value: string, name: string): Html => html`<div class="tile"><b>${value}</b><span>${name}</span></div>`;

const figuresAt = (history: readonly Entry[], kind: Entry['kind'], step: number): Metrics =>
  history.findLast((entry) => entry.kind === kind && entry.step === step)?.metrics ?? {};

/** Figures of the exported weights: a later step's would describe a model that nobody has. */
function tiles({ history, exported }: ReportContent): Html {
  const heldOut = figuresAt(history, 'heldOut', exported);
  const train = figuresAt(history, 'train', exported);
  return html`<div class="tiles">
    ${[
      tile(String(exported), 'steps to the exported weights'),
      tile(digits(train.loss), `training loss of step ${exported}`),
      tile(digits(heldOut.evalLoss), 'held-out loss'),
      tile(percent(heldOut.evalRewardAccuracy), 'held-out accuracy'),
      tile(digits(heldOut.evalRewardMargin), 'held-out margin'),
      tile(digits(heldOut.evalKL), 'KL from the reference, per token'),
    ]}
  </div>`;
}

function answer(title: string, own: Answer, preferred: boolean): Html {
  const repeats = brokenBy(own.repetition) ? 'chip bad' : 'chip';
  const text = own.text.trim() === '' ? html`<pre class="soft">(nothing)</pre>` : html`<pre>${own.text}</pre>`;
  return html`<div class="answer">
    <span class="label">${title}</span>${text}<span class="chip">${own.tokens} tokens${own.ended ? '' : ', cut'}</span
    ><span class="${repeats}">${percent(own.repetition)} repeated</span
    ><span class="chip">reward ${digits(own.reward)}</span>${
      preferred && !brokenBy(own.repetition) ? html`<span class="chip good">higher reward</span>` : undefined
    }
  </div>`;
}

function sampleCard(sample: Sample): Html {
  const preferred = preferredOf(sample);
  const origin = sample.source === 'heldOut' ? 'held-out prompt' : 'prompt';
  return html`<article class="sample">
    <div class="prompt">
      <span class="label">${origin}</span>
      <pre>${sample.prompt}</pre>
    </div>
    <div class="pair">
      ${answer('trained', sample.policy, preferred === 'policy')}${answer(
        'reference',
        sample.reference,
        preferred === 'reference',
      )}
    </div>
  </article>`;
}

function comparisonSection({ samples, comparison, reference }: ReportContent): Html {
  if (comparison === undefined) return html``;
  const c = comparison;
  const row = (name: string, trained: string, reference: string): Html =>
    html`<tr>
      <td>${name}</td>
      <td class="n">${trained}</td>
      <td class="n">${reference}</td>
    </tr>`;
  return html`<h2>The same prompts, both models</h2>
    <p class="soft">
      Greedy answers. The reference is ${reference}. ${c.differing} of ${c.prompts} differ; of these the implicit
      reward, beta times the log-ratio, rates the trained model's higher ${c.preferred} times. That reward is the
      trained model's own, no judge from outside: read the answers. KL on its answers, a sampled estimate:
      ${aboutZero(c.kl)} nats per token.
    </p>
    <div class="box wide">
      <table>
        <tr>
          <th></th>
          <th>trained</th>
          <th>reference</th>
        </tr>
        ${[
          row('Mean length, tokens', digits(c.tokens), digits(c.referenceTokens)),
          row('Repeated 4-grams', percent(c.repetition), percent(c.referenceRepetition)),
        ]}
      </table>
    </div>

    ${samples.map(sampleCard)}`;
}

function dataSection({ findings, dropped }: ReportContent): Html {
  const left = Object.entries(dropped).map(([reason, rows]) => html`<span class="chip">${rows} × ${reason}</span>`);
  const rows = findings.map(
    ({ dataset, reason, beyond, summary, advice }) =>
      html`<tr>
        <td>${reasonIn(dataset, reason)}</td>
        <td><span class="${beyond ? 'chip bad' : 'chip good'}">${beyond ? 'look' : 'fine'}</span></td>
        <td>${summary}${beyond ? html`<br /><span class="soft">${advice}</span>` : undefined}</td>
      </tr>`,
  );
  if (rows.length + left.length === 0) return html``;
  return html`<h2>Data</h2>
    ${left.length > 0 ? html`<p class="soft">Rows left out: ${left}</p>` : undefined}
    ${
      findings.some(({ dataset }) => dataset === 'sft')
        ? html`<p class="soft">
            What begins with SFT is of the rows of supervised fine-tuning, all else of the pairs.
          </p>`
        : undefined
    }
    <div class="box wide">
      <table>
        ${rows}
      </table>
    </div>`;
}

const sourceFields: readonly string[] = ['source', 'evalSource'];
const shown = (key: string, value: unknown): unknown =>
  sourceFields.includes(key) && typeof value === 'string' ? shownSource(value) : value;

/** The report of a run as one HTML page without any outside resource or script; every text in it is escaped. */
export function reportHtml(content: ReportContent): string {
  const { namespace, name, time, facts, signals, settings } = content;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>${name}: preference training</title>
        <style>
          ${new Html(style)}
        </style>
      </head>
      <body>
        <main>
          <header>
            <h1>${name}</h1>
            <p class="soft">DPOJob ${namespace}/${name}, ${time.slice(0, 16).replace('T', ' ')} UTC</p>
            ${facts.map((fact) => html`<p>${fact}</p>`)}
            <div class="verdict">${content.verdict.map((sentence) => html`<p>${sentence}</p>`)}</div>
          </header>
          ${tiles(content)}${signals.map(({ reason, message }) => html`<p class="warning"><b>${reason}</b> ${message}</p>`)}
          <h2>Curves</h2>
          <div class="charts">${[...tuningCharts(content), ...charts(content)].map(figure)}</div>
          ${comparisonSection(content)}${dataSection(content)}
          <h2>Settings</h2>
          <details class="box">
            <summary>The specification</summary>
            <pre>${JSON.stringify(settings, shown, 2)}</pre>
          </details>
        </main>
      </body>
    </html> `;
  return page.text;
}
