import { describe, expect, test } from '@jest/globals';
import { figure, thin, ticks } from '../../../trainer-image/report/chart.ts';
import { html } from '../../../trainer-image/report/html.ts';
import { reportHtml, type ReportContent } from '../../../trainer-image/report/report.ts';

const attack = `</pre><script>alert("1")</script><img src=x onerror='x'>&`;
const answer = { text: attack, tokens: 3, ended: true, repetition: 0.5, reward: 1 };
const content: ReportContent = {
  namespace: attack,
  name: attack,
  time: '2026-01-01T00:00:00.000Z',
  settings: { beta: 0.1, [attack]: attack },
  facts: [attack],
  verdict: [attack],
  reference: attack,
  history: [
    { kind: 'heldOut', step: 0, metrics: { evalLoss: 0.69 } },
    { kind: 'train', step: 1, metrics: { loss: 0.69, rewardMargin: 0 } },
    { kind: 'train', step: 2, metrics: { loss: 0.6, rewardMargin: 0.2 } },
    { kind: 'heldOut', step: 2, metrics: { evalLoss: 0.65 } },
  ],
  tuning: [],
  exported: 2,
  signals: [{ reason: 'MarginRunaway', message: attack }],
  findings: [
    {
      check: 'duplicate',
      dataset: 'preference',
      reason: attack,
      value: 1,
      threshold: 0,
      beyond: true,
      summary: attack,
      advice: attack,
      worst: [],
    },
  ],
  dropped: { [attack]: 2 },
  samples: [
    {
      source: 'prompts',
      prompt: attack,
      policy: { ...answer, repetition: 0.1 },
      reference: { ...answer, text: '', reward: 0 },
      kl: 0.1,
    },
  ],
  comparison: {
    prompts: 1,
    differing: 1,
    preferred: 1,
    tokens: 3,
    referenceTokens: 3,
    repetition: 0.5,
    referenceRepetition: 0.5,
    kl: 0.1,
  },
};

describe('the report', () => {
  const page = reportHtml(content);

  test('shows texts of models and data as texts: nothing of them becomes markup', () => {
    expect(page).not.toContain('<script');
    expect(page).not.toContain('<img');
    expect(page.match(/&lt;script&gt;/g)?.length).toBeGreaterThanOrEqual(10);
    // Every element that was opened is closed: no text has cut one short.
    for (const name of ['main', 'pre', 'figure', 'svg', 'table', 'article', 'details']) {
      const count = (pattern: RegExp): number => page.match(pattern)?.length ?? 0;
      expect([name, count(new RegExp(`<${name}[ >]`, 'g'))]).toEqual([name, count(new RegExp(`</${name}>`, 'g'))]);
    }
  });

  test('needs nothing from outside, and no script', () => {
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
    const tags = page.match(/<[a-z][^>]*>/g) ?? [];
    expect(tags.filter((tag) => /\b(src|href|on[a-z]+)\s*=/.test(tag))).toEqual([]);
    expect(page).not.toMatch(/url\(|@import/);
  });

  test('shows where models and data came from without the signature of a URL', () => {
    const settings = {
      model: { source: 'https://host/m?sig=secret' },
      dataset: {
        sources: [{ source: 'https://host/d.jsonl?sig=secret', weight: 2 }],
        evalSource: 'https://host/e.jsonl?sig=secret',
      },
      evaluation: { compare: { prompts: ['What is https://host/?a=b'] } },
    };
    const shown = reportHtml({ ...content, settings });
    expect(shown).not.toContain('secret');
    for (const kept of ['https://host/m&quot;', 'https://host/d.jsonl', 'https://host/e.jsonl', 'https://host/?a=b'])
      expect(shown).toContain(kept);
  });

  test('has the figures of the exported step in its tiles, and none of a later one', () => {
    const later: ReportContent['history'] = [
      { kind: 'train', step: 3, metrics: { loss: 0.123 } },
      { kind: 'heldOut', step: 3, metrics: { evalLoss: 0.987 } },
    ];
    const tiles = (exported: number): string =>
      /<div class="tiles">[^]*?<\/div>\s*<\/div>/.exec(
        reportHtml({ ...content, history: [...content.history, ...later], exported }),
      )?.[0] as string;
    expect(tiles(2)).toMatch(/<b>0.6<\/b><span>training loss of step 2<[^]*<b>0.65<\/b><span>held-out loss</);
    expect(tiles(2)).not.toMatch(/0.123|0.987/);
    expect(tiles(3)).toMatch(/<b>0.123<\/b><span>training loss of step 3<[^]*<b>0.987<\/b><span>held-out loss</);
  });

  test("tells that the reward is the model's own, and gives no badge to an answer that is broken", () => {
    expect(page).toMatch(/That reward is the\s+trained model's\s+own/);
    const samples = content.samples.map((sample) => ({ ...sample, policy: { ...answer, repetition: 0.5 } }));
    expect([page, reportHtml({ ...content, samples })].map((one) => one.includes('chip good">higher'))).toEqual([
      true,
      false,
    ]);
  });

  test('shows a sampled KL below 0, which is noise, as about 0', () => {
    const comparison = { ...(content.comparison as NonNullable<typeof content.comparison>), kl: -0.001 };
    expect(reportHtml({ ...content, comparison })).toMatch(/sampled estimate:\s+about 0 nats/);
  });

  test('labels what was found in the rows of fine-tuning', () => {
    const findings = (['preference', 'sft'] as const).flatMap((dataset) =>
      content.findings.map((one) => ({ ...one, dataset, reason: 'EmptyRows' })),
    );
    const rows = reportHtml({ ...content, findings }).match(/<td>\w*EmptyRows<\/td>/g);
    expect(rows).toEqual(['<td>EmptyRows</td>', '<td>SFTEmptyRows</td>']);
  });

  test('points to the warning of a margin that runs away only where there is one', () => {
    expect([page, reportHtml({ ...content, signals: [] })].map((one) => one.includes('It runs away'))).toEqual([
      true,
      false,
    ]);
  });

  test('has the curves, the answers side by side, the findings and the settings', () => {
    expect(page.match(/<svg /g)).toHaveLength(2);
    for (const part of [
      'Reward margin',
      'higher reward',
      '(nothing)',
      'MarginRunaway',
      '2 × ',
      '&quot;beta&quot;: 0.1',
    ])
      expect(page).toContain(part);
  });
});

describe('a chart', () => {
  test('puts its lowest and highest point at the ends of its axes', () => {
    const lines = [
      {
        name: 'a',
        style: 'policy' as const,
        points: [
          { step: 0, value: 0 },
          { step: 10, value: 1 },
        ],
      },
    ];
    // x from 52 to 548; y has 6 % of the range beyond both ends of 10..214: 204 * 0.06 / 1.12 = 10.93.
    expect(figure({ title: 't', note: 'n', lines }).text).toContain('points="52.0,203.1 548.0,20.9"');
  });

  test('has round ticks', () => {
    expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(0.61, 0.7, 4)).toEqual([0.65, 0.7]);
    expect(ticks(-330, -120, 4)).toEqual([-300, -200]);
  });

  test('of many steps joins neighbours to their mean', () => {
    const points = Array.from({ length: 1000 }, (_, step) => ({ step, value: step % 2 }));
    const thinned = thin(points);
    expect(thinned).toHaveLength(334);
    expect(thinned[0]).toEqual({ step: 1, value: 1 / 3 });
  });
});

test('an html template escapes values, and takes Html and lists of it as they are', () => {
  expect(html`<a title="${'"&\''}">${[html`<b>${1}</b>`, html`<i>${'<'}</i>`]}${undefined}</a>`.text).toBe(
    '<a title="&quot;&amp;&#39;"><b>1</b><i>&lt;</i></a>',
  );
});
