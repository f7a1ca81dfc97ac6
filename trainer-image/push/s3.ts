import { readFileSync } from 'node:fs';
import type { RunConfig } from '../../crds/run-config.ts';
import { TrainerError } from '../errors.ts';
import { exportedFiles } from '../export/export.ts';
import { recordName, type Owner } from '../export/owner.ts';
import type { SourceEnvironment } from '../sources/environment.ts';
import {
  attempts,
  getText,
  heed,
  pauseBefore,
  readText,
  request,
  unavailable,
  wireError,
  type Ask,
  type Asker,
} from '../sources/http.ts';
import { bucketUrl, createSigner, encode, encodePath, listAll, parseS3, textOf, type Signer } from '../sources/s3.ts';
import { checkOccupied, piecesOf, type PushedFile, type Pushing, type Target } from './target.ts';

/** Files without which nothing loads the folder: they go first where it is replaced, and come last. */
const entries = ['config.json', 'adapter_config.json'];
/** What S3 says of an object that is not there: "forbidden" to whoever may not list the bucket. */
const absent = [403, 404];
/** Of a PUT with a condition: it does not hold, or another is being decided at the same moment, or none is known. */
const unknown = 501;
const conditional = [412, 409, unknown];
/** S3's bounds: parts of 5 MiB at least, 10,000 at most. */
const leastPart = 8 << 20;
const mostParts = 10_000;

/** What is told with each object: its content's SHA-256. */
const digestKey = 'x-amz-meta-sha256';

/** Pushes to `s3://bucket/prefix`. An earlier push of the job is replaced, another's model is not. */
export class S3Target implements Target {
  readonly #source: string;
  readonly #job: Owner;
  readonly #asker: Asker;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #sign: Signer;

  constructor(job: RunConfig, asker: Asker, s3: SourceEnvironment['s3']) {
    const { source } = job.spec.output;
    const { bucket, key } = parseS3(source);
    this.#source = source;
    this.#job = job;
    this.#asker = asker;
    this.#bucket = bucketUrl(bucket, s3);
    this.#prefix = key;
    this.#sign = createSigner(s3);
    if (s3.accessKeyId !== undefined && s3.secretAccessKey !== undefined) return;
    const message = `${asker.field}: ${source} cannot be written without keys: set ${asker.secretRef} to a Secret with ${asker.credentials}`;
    throw new TrainerError('InvalidConfiguration', message);
  }

  async check(): Promise<void> {
    await this.#names();
    // Asks for the same rights as a push, and leaves nothing: no object has this name.
    const name = 'dpo-write-check';
    await this.#abandon(name, await this.#begin(name, {}));
    await this.#delete(name);
  }

  async push(files: readonly PushedFile[], pushing: Pushing): Promise<string> {
    const there = await this.#digests();
    const isMissing = ({ name, sha256 }: PushedFile): boolean => there.get(name) !== sha256;
    const stale = [...there.keys()].filter((name) => !files.some((file) => file.name === name));
    const missing = files.filter(isMissing);
    if (missing.length + stale.length === 0) return 'all of it was there';
    // First of all: what is unfinished there is then no other's.
    const record = there.has(recordName) ? undefined : missing.find(({ name }) => name === recordName);
    if (record !== undefined) await this.#claim(record, pushing);
    await this.#dropUnfinished();
    const { mayCommit } = pushing;
    for (const name of new Set([...entries.filter((each) => there.has(each)), ...stale])) {
      mayCommit();
      await this.#delete(name);
    }
    const isLast = ({ name }: PushedFile): boolean => entries.includes(name);
    for (const file of missing.filter((each) => each !== record && !isLast(each))) {
      mayCommit();
      await this.#put(file, pushing);
    }
    await this.#requireOwn(files.filter((each) => !isLast(each)));
    for (const file of files.filter(isLast)) {
      mayCommit();
      await this.#put(file, pushing);
    }
    return `${missing.length} of ${files.length} files were not there`;
  }

  #url(name: string, query = ''): string {
    return `${this.#bucket}/${encodePath(`${this.#prefix}/${name}`)}${query}`;
  }

  async #ask(
    name: string,
    how: Parameters<Signer>[1] & { query?: string; headers?: Record<string, string>; also?: number[] },
  ): Promise<Response> {
    const { query, headers = {}, also = [], ...rest } = how;
    return (await request(this.#sign(this.#url(name, query), rest), this.#asker, { headers, also })).response;
  }

  /** Names of what lies directly below the prefix. Throws InvalidConfiguration where another has made a model there. */
  async #names(): Promise<string[]> {
    const prefix = `${this.#prefix}/`;
    const how = { sign: this.#sign, asker: this.#asker, more: 'delimiter=%2F&' };
    const names = (await listAll(this.#bucket, prefix, how)).map(({ key }) => key.slice(prefix.length));
    const read = (): Promise<string> => getText(this.#sign(this.#url(recordName)), this.#asker);
    const record = names.includes(recordName) ? await read() : undefined;
    checkOccupied(this.#source, { names, record }, this.#job);
    return names;
  }

  /** The digests of what is there of the files that an export has; empty where none was told. */
  async #digests(): Promise<Map<string, string>> {
    const digests = new Map<string, string>();
    for (const name of (await this.#names()).filter((each) => exportedFiles.includes(each))) {
      const { headers } = await this.#ask(name, { method: 'HEAD', also: absent });
      digests.set(name, headers.get(digestKey) ?? '');
    }
    return digests;
  }

  /** What a model is replaced with needs a right of its own. */
  async #delete(name: string): Promise<void> {
    const credentials = `${this.#asker.credentials} that may delete objects too (s3:DeleteObject)`;
    const ask = this.#sign(this.#url(name), { method: 'DELETE' });
    await request(ask, { ...this.#asker, credentials }, { also: [404] });
  }

  /** Throws when another has written there meanwhile: InvalidConfiguration when it has taken the place, else SourceUnavailable. */
  async #requireOwn(files: readonly PushedFile[]): Promise<void> {
    const there = await this.#digests();
    // A server that keeps no digests tells none.
    const strange = files.find(({ name, sha256 }) => !['', sha256].includes(there.get(name) ?? 'gone'));
    if (strange === undefined) return;
    const message = `${this.#asker.field}: another has changed ${strange.name} at ${this.#source} during the push: the next pod sends it again`;
    throw new TrainerError('SourceUnavailable', message);
  }

  /**
   * Puts the record where there is none. Of two jobs that begin at once the other is refused: InvalidConfiguration. Where the
   * server knows no condition (it says so, or takes no notice) `requireOwn` is what is left.
   */
  async #claim(record: PushedFile, pushing: Pushing): Promise<void> {
    const headers = { [digestKey]: record.sha256, 'if-none-match': '*' };
    const body = new Uint8Array(readFileSync(record.path));
    for (let number = 1; ; number++) {
      pushing.mayCommit();
      const response = await this.#ask(recordName, { method: 'PUT', body, headers, also: conditional });
      await response.body?.cancel();
      if (response.ok) return pushing.onBytes(record.size);
      if (response.status === unknown) return this.#put(record, pushing);
      // There is one: another's, or the job's own, whose answer was lost.
      if ((await this.#names()).includes(recordName)) return pushing.onBytes(record.size);
      if (number === attempts) throw unavailable(this.#asker, this.#url(recordName), `${response.status}`);
      await pauseBefore(this.#asker, this.#url(recordName), { number, why: `${response.status}` });
    }
  }

  async #put(file: PushedFile, pushing: Pushing): Promise<void> {
    const headers = { [digestKey]: file.sha256 };
    if (file.size > leastPart) return this.#putParts(file, headers, pushing);
    const response = await this.#ask(file.name, {
      method: 'PUT',
      body: new Uint8Array(readFileSync(file.path)),
      headers,
    });
    await response.body?.cancel();
    pushing.onBytes(file.size);
  }

  async #putParts(
    { name, path, size, sha256 }: PushedFile,
    headers: Record<string, string>,
    { mayCommit, onBytes }: Pushing,
  ): Promise<void> {
    const upload = await this.#begin(name, headers);
    try {
      const etags: string[] = [];
      for (const body of piecesOf(path, Math.max(leastPart, Math.ceil(size / mostParts)))) {
        // What takes long must not end over the model of a trainer that has begun meanwhile.
        mayCommit();
        const query = `?partNumber=${etags.length + 1}&uploadId=${encode(upload)}`;
        const response = await this.#ask(name, { method: 'PUT', body, query });
        await response.body?.cancel();
        etags.push(response.headers.get('etag') ?? '');
        onBytes(body.length);
      }
      await this.#complete({ name, sha256 }, upload, { etags, mayCommit });
    } catch (error) {
      // Parts that are left behind cost their owner money, and nothing shows them.
      await this.#abandon(name, upload, true).catch(() => {});
      throw error;
    }
  }

  async #begin(name: string, headers: Record<string, string>): Promise<string> {
    const ask = this.#sign(this.#url(name, '?uploads'), { method: 'POST' });
    const text = await getText({ ...ask, headers: (given) => ask.headers({ ...given, ...headers }) }, this.#asker);
    return textOf(text, 'UploadId') ?? '';
  }

  async #complete(
    { name, sha256 }: Pick<PushedFile, 'name' | 'sha256'>,
    upload: string,
    { etags, mayCommit }: { etags: string[]; mayCommit: () => void },
  ): Promise<void> {
    const part = (etag: string, i: number): string =>
      `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag.replaceAll('"', '&quot;')}</ETag></Part>`;
    const body = `<CompleteMultipartUpload>${etags.map(part).join('')}</CompleteMultipartUpload>`;
    const ask = this.#sign(this.#url(name, `?uploadId=${encode(upload)}`), { method: 'POST', body });
    for (let number = 1; ; number++) {
      mayCommit();
      const { why, gone } = await this.#endOf(ask);
      if (why === undefined) return;
      // An answer that was lost, and the upload is done: its number is gone.
      const { headers } = await this.#ask(name, { method: 'HEAD', also: absent });
      if (headers.get(digestKey) === sha256) return;
      if (gone || number === attempts) throw unavailable(this.#asker, ask.url, why);
      await pauseBefore(this.#asker, ask.url, { number, why });
    }
  }

  /** Why the parts are not put together, as far as the answer tells, and whether they are gone. */
  async #endOf(ask: Ask): Promise<{ why: string | undefined; gone: boolean }> {
    const answer = await request(ask, this.#asker, { also: [404] });
    const gone = answer.response.status === 404;
    try {
      // The status comes before the parts are put together, and white space meanwhile: a failure is told in the body.
      const text = await readText(answer, this.#asker.beat);
      if (!gone && !text.includes('<Error>')) return { why: undefined, gone };
      return { why: textOf(text, 'Message') ?? 'the parts were not put together', gone };
    } catch (error) {
      heed(this.#asker);
      return { why: wireError(error), gone };
    }
  }

  /** `once`: for whoever has an error to tell. */
  async #abandon(name: string, upload: string, once = false): Promise<void> {
    const ask: Ask = this.#sign(this.#url(name, `?uploadId=${encode(upload)}`), { method: 'DELETE' });
    await request(ask, this.#asker, { also: [404], once });
  }

  /** Abandons what a trainer that was killed has begun. Who may not list uploads leaves it to the bucket's own rules. */
  async #dropUnfinished(): Promise<void> {
    const prefix = `${this.#prefix}/`;
    const list = this.#sign(`${this.#bucket}?prefix=${encode(prefix)}&uploads=`);
    const text = await getText(list, this.#asker).catch((error: unknown) => {
      if (error instanceof TrainerError) return '';
      throw error;
    });
    for (const [, upload = ''] of text.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
      const name = textOf(upload, 'Key')?.slice(prefix.length) ?? '';
      if (exportedFiles.includes(name)) await this.#abandon(name, textOf(upload, 'UploadId') ?? '');
    }
  }
}
