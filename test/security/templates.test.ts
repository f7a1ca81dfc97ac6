import { describe, expect, test } from '@jest/globals';
import { loadTokenizer } from '../../trainer-image/data/tokenizer.ts';
import { goldenFolder } from '../trainer-image/golden.ts';

/** Chat templates come with models that others made: programs that may want out, or to compute for ever. */
process.env['DPO_TEST_SECRET'] = 'hunter2-of-the-test';

const render = (template: string, content = 'Say yes.', given = {}): string => {
  const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`, template);
  return tokenizer.decode(tokenizer.encodeChat([{ role: 'user', content }], false, given));
};
const grow = (start: string, step: string, times = 60, end = ''): string =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(${times}) %}{% set ns.x = ${step} %}{% endfor %}${end}`;

describe('a template that would compute for ever, or fill memory, is stopped', () => {
  test.each<[string, string, RegExp]>([
    ['a list without end', '{{ range(10 ** 12) }}', /range\(1000000000000\) is too long/],
    ['a loop without end', '{% for i in range(10 ** 12) %}{% endfor %}', /is too long/],
    ['a list downwards', '{{ range(-1, -(10 ** 12), -1) }}', /is too long/],
    ['a list of tiny steps', '{{ range(0, 1, 0.0000000001) }}', /is too long/],
    ['a list without a step', '{{ range(1, 2, 0) }}', /has no step/],
    ['a list of no number', "{{ range('a') }}", /is too long, or has no step/],
    [
      'loops within loops',
      '{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}',
      /computes without end/,
    ],
    [
      'loops that let nothing through',
      '{% for a in range(9999) %}{% for b in range(9999) if false %}{% endfor %}{% endfor %}',
      /computes without end/,
    ],
    ['a text that doubles', grow("'aaaa'", 'ns.x ~ ns.x'), /text of over/],
    ['a list that doubles', grow('[1]', 'ns.x + ns.x'), /list of over/],
    ['a list within itself twice', grow('[1]', '[ns.x, ns.x]', 60, '{{ ns.x | tojson }}'), /list of over/],
    ['a map within itself twice', grow('{}', "{'a': ns.x, 'b': ns.x}", 60, '{{ ns.x | tojson }}'), /list of over/],
    ['an indent of a billion', "{{ 'a\n' | indent(1000000000) }}", /Invalid string length/],
    ['a replacement that grows', grow("'aa'", "ns.x | replace('a', 'aaaaaaaa')"), /text of over/],
    ['a power without end', '{{ 10 ** 10000 }}', /not a finite/],
    ['a function that calls itself', '{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}', /stack size exceeded/],
    [
      'a long text looked at again and again',
      "{% set x = range(99999) | join('') %}{% for i in range(9999) %}{% if x | upper == '' %}{% endif %}{% endfor %}",
      /computes without end/,
    ],
  ])('%s', (_, template, message) => {
    const started = process.cpuUsage();
    expect(() => render(template)).toThrow(message);
    // Seconds of a processor, whatever else the machine does.
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(20);
  });
});

describe('a template finds no way out: it is refused, or sees nothing', () => {
  test.each([
    "{{ ''.constructor.constructor('return process.env')() }}",
    "{{ range.constructor('return process.env')() }}",
    "{{ raise_exception.constructor('return process.env')() }}",
    "{{ (messages | map(attribute='constructor') | list)[0] }}",
    '{{ messages.constructor }}',
    '{{ messages.__proto__ }}',
    "{{ messages[0]['constructor'] }}",
    '{{ messages[0].content.constructor }}',
    '{{ namespace.constructor }}',
    '{% set ns = namespace(__proto__=1) %}{{ ns.polluted }}',
    "{% set ns = namespace(constructor='x') %}{{ ns.prototype }}",
    '{{ self.__init__.__globals__ }}',
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    '{{ ().__class__.__bases__[0].__subclasses__() }}',
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ config.from_object('os') }}",
    '{{ request.application.__globals__ }}',
    "{% include '/etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.environ }}",
    '{{ process.env.DPO_TEST_SECRET }}',
    '{{ globalThis.process.env }}',
    "{{ require('node:fs').readFileSync('/etc/passwd') }}",
    "{{ import('node:fs') }}",
    "{{ eval('process.env') }}",
    '{{ this.constructor }}',
    '{{ messages | attr("constructor") }}',
    '{{ environment.variables }}',
    '{{ strftime_now.constructor }}',
  ])('%s', (template) => {
    let made = '';
    try {
      made = render(template);
    } catch (error) {
      made = (error as Error).message;
    }
    expect(made).not.toMatch(/hunter2|root:|native code|PATH|uid=|\[object/);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('what a row brings is text, never a template', () => {
  test.each(['{{ 7 * 7 }}', '{% for i in range(10 ** 12) %}{% endfor %}', '{# x #}', "{{ raise_exception('x') }}"])(
    '%s in a message',
    (content) => {
      expect(render('{{ messages[0].content }}', content)).toBe(content);
    },
  );

  test.each(['range', 'raise_exception', 'true', 'none'])('a row cannot put its own in the place of %s', (name) => {
    expect(() => render('{{ range(2) }}', 'x', { [name]: 'mine' })).toThrow(/already declared/);
  });

  test('a row cannot put its own in the place of the messages', () => {
    expect(render('{{ messages[0].content }}', 'real', { messages: [{ role: 'user', content: 'fake' }] })).toBe('real');
  });
});

test('long conversations and texts are rendered as before', () => {
  const template = '{% for m in messages %}{{ loop.index ~ m.role ~ (messages | length) }}{% endfor %}';
  const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`, template);
  const messages = Array.from({ length: 3000 }, () => ({ role: 'user', content: 'x' }));
  expect(tokenizer.decode(tokenizer.encodeChat(messages, false))).toMatch(/^1user30002user3000.*3000user3000$/);
  expect(render('{{ range(2, 9, 3) }} {{ range(3, 0, -1) }} {{ range(3) }} {{ range(3, 1) }}')).toBe(
    '[2, 5, 8] [3, 2, 1] [0, 1, 2] []',
  );
});
