import { createHash } from 'node:crypto';
import { openAsBlob, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { RunConfig } from '../../crds/run-config.ts';
import { TrainerError } from '../errors.ts';
import { exportedFiles } from '../export/export.ts';
import { recordName } from '../export/owner.ts';
import type { SourceEnvironment } from '../sources/environment.ts';
import { attempts, pauseBefore, request, unavailable, type Ask, type Asker } from '../sources/http.ts';
import { parseHubSource } from '../sources/hub.ts';
import { HubApi } from './hub-api.ts';
import { uploadLarge } from './hub-large-files.ts';
import { checkOccupied, type PushedFile, type Pushing, type Target } from './target.ts';

/** Answers of the Hub's API, the parts that are needed: as huggingface_hub reads them in create_commit. */
const fileSchema = z.object({
  rfilename: z.string(),
  size: z.number().nullish(),
  blobId: z.string().nullish(),
  lfs: z.object({ sha256: z.string() }).nullish(),
});
type Stored = z.infer<typeof fileSchema>;
const treeSchema = z.object({ sha: z.string().nullish(), siblings: z.array(fileSchema) });
const modesSchema = z.object({
  files: z.array(z.object({ path: z.string(), uploadMode: z.enum(['lfs', 'regular']) })),
});
/** What is on a branch, and its last commit. */
interface Tree {
  there: Map<string, Stored>;
  head: string | undefined;
}
/** The Hub's answer to a commit onto another than the last one. */
const movedOn = 412;
const committedSchema = z.object({ commitOid: z.string() });

/** Whether the Hub has this content: it names large files by their SHA-256, small ones by git's digest. */
function isStored({ path, size, sha256 }: PushedFile, stored: Stored | undefined): boolean {
  if (stored?.lfs) return stored.lfs.sha256 === sha256;
  if (stored?.size !== size) return false;
  return stored.blobId === createHash('sha1').update(`blob ${size}\0`).update(readFileSync(path)).digest('hex');
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** Pushes to a branch of a model's repository on the Hub, in one commit. */
export class HubTarget implements Target {
  readonly #job: RunConfig;
  readonly #hub: HubApi;
  readonly #repository: string;
  readonly #branch: string;

  constructor(job: RunConfig, asker: Asker, { endpoint, token }: SourceEnvironment['hub']) {
    const { source } = job.spec.output;
    const { repository, revision } = parseHubSource(source);
    this.#job = job;
    this.#hub = new HubApi(endpoint, token ?? '', asker);
    this.#repository = repository;
    this.#branch = revision;
    if (token !== undefined) return;
    const message = `${asker.field}: ${source} cannot be written without a token: set ${asker.secretRef} to a Secret with ${asker.credentials}`;
    throw new TrainerError('InvalidConfiguration', message);
  }

  /** Makes the repository and the branch where they are missing: whether it may is known only then. */
  async check(): Promise<void> {
    const hub = this.#hub;
    const [organization, name] = this.#repository.split('/');
    const hidden = this.#job.spec.output.private;
    const visibility = hidden === undefined ? {} : { visibility: hidden ? 'private' : 'public' };
    const create = hub.post('/api/repos/create', { type: 'model', name, organization, ...visibility });
    // There already; or it may be there, for whoever may write to it and make none.
    const made = await hub.send(create, [403, 409]);
    // A server that does not know this question: the push will tell.
    await hub.send(hub.get(`${this.#api()}/auth-check/write`), made === 403 ? [] : [404]);
    if (this.#branch !== 'main') await hub.send(hub.post(`${this.#api()}/branch/${this.#branch}`, {}), [409]);
    await this.#tree();
  }

  /** Where another commit comes first, looks again: it may be another job's, or somebody's README. */
  async push(files: readonly PushedFile[], pushing: Pushing): Promise<string> {
    const { asker } = this.#hub;
    for (let number = 1; ; number++) {
      // What is there from the round before is not counted again.
      const onBytes = number === 1 ? pushing.onBytes : (): void => asker.beat();
      const told = await this.#pushOnto(await this.#tree(), files, { ...pushing, onBytes });
      if (told !== undefined) return told;
      const [url, why] = [this.#commitAsk('').url, 'another commit came first, or the answer was lost'];
      if (number === attempts) throw unavailable(asker, url, why);
      await pauseBefore(asker, url, { number, why });
    }
  }

  /** Undefined where the branch is no more as it was, as far as the answer tells. */
  async #pushOnto(
    { there, head }: Tree,
    files: readonly PushedFile[],
    { mayCommit, onBytes }: Pushing,
  ): Promise<string | undefined> {
    const missing = files.filter((file) => !isStored(file, there.get(file.name)));
    const stale = exportedFiles.filter((name) => there.has(name) && !files.some((file) => file.name === name));
    if (missing.length + stale.length === 0) return 'all of it was there';
    const large = await this.#largeOf(missing);
    await uploadLarge(large, { hub: this.#hub, repository: this.#repository, branch: this.#branch }, onBytes);
    mayCommit();
    const ask = this.#commitAsk(commitOf(missing, { large, stale, head }));
    const { response } = await request(ask, this.#hub.asker, { also: [movedOn] });
    const answer = committedSchema.safeParse(await response.json().catch(() => undefined));
    return answer.success ? `commit ${answer.data.commitOid.slice(0, 7)}` : undefined;
  }

  #commitAsk = (body: string): Ask =>
    this.#hub.post(`${this.#api()}/commit/${this.#branch}`, body, 'application/x-ndjson');

  #api = (): string => `/api/models/${this.#repository}`;

  /** What is on the branch. Throws InvalidConfiguration where another has made a model there. */
  async #tree(): Promise<Tree> {
    const about = this.#hub.get(`${this.#api()}/revision/${this.#branch}?blobs=true`);
    const { sha, siblings } = await this.#hub.json(about, treeSchema);
    const there = new Map(siblings.map((file) => [file.rfilename, file]));
    const record = this.#hub.get(`/${this.#repository}/resolve/${this.#branch}/${recordName}`);
    const text = there.has(recordName) ? await this.#hub.text(record) : undefined;
    checkOccupied(this.#job.spec.output.source, { names: [...there.keys()], record: text }, this.#job);
    return { there, head: sha ?? undefined };
  }

  /** Those that the Hub does not want in the commit itself. */
  async #largeOf(files: readonly PushedFile[]): Promise<PushedFile[]> {
    const described = files.map(async ({ name, path, size }) => {
      const sample = base64(await (await openAsBlob(path)).slice(0, 512).bytes());
      return { path: name, size, sample };
    });
    const ask = this.#hub.post(`${this.#api()}/preupload/${this.#branch}`, { files: await Promise.all(described) });
    const answer = await this.#hub.json(ask, modesSchema);
    const modes = new Map(answer.files.map((file) => [file.path, file.uploadMode]));
    // An empty file has no place among the large ones.
    return files.filter(({ name, size }) => size > 0 && modes.get(name) === 'lfs');
  }
}

/** The body of a commit: a header and an operation a line. Small files are in it; large ones are there already. */
function commitOf(
  files: readonly PushedFile[],
  { large, stale, head }: { large: readonly PushedFile[]; stale: readonly string[]; head: string | undefined },
): string {
  const parent = head === undefined ? {} : { parentCommit: head };
  const operation = (file: PushedFile): object =>
    large.includes(file)
      ? { key: 'lfsFile', value: { path: file.name, algo: 'sha256', oid: file.sha256, size: file.size } }
      : { key: 'file', value: { path: file.name, encoding: 'base64', content: base64(readFileSync(file.path)) } };
  const lines = [
    { key: 'header', value: { summary: 'Upload the model trained by dpo-operator', description: '', ...parent } },
    ...files.map(operation),
    ...stale.map((path) => ({ key: 'deletedFile', value: { path } })),
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}
