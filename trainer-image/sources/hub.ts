import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import type { SourceEnvironment } from './environment.ts';
import { getJson, type Ask, type Asker } from './http.ts';
import { chooseSplit, configurationsOf } from './hub-splits.ts';
import { checkPath, isDataFile, isWanted, type Listing, type RemoteFile, type SourceType } from './listing.ts';

/** Parts of `hf://[datasets/]org/name@revision[/path]`. */
export interface HubSource {
  type: 'model' | 'dataset';
  repository: string;
  revision: string;
  /** A file or a folder in it; empty for all. */
  path: string;
}

const pattern =
  /^hf:\/\/(?<data>datasets\/)?(?<repository>[^/@]+(?:\/[^/@]+)?)(?:@(?<revision>refs\/[^/]+\/[^/]+|[^/]+))?(?:\/(?<path>.*))?$/;

export function parseHubSource(source: string): HubSource {
  const { data, repository = '', revision = 'main', path = '' } = pattern.exec(source)?.groups ?? {};
  return { type: data === undefined ? 'model' : 'dataset', repository, revision, path: path.replace(/\/+$/, '') };
}

/** GET /api/{models,datasets}/REPOSITORY/revision/REVISION?blobs=true, the parts that are needed. */
const repositorySchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.number().nullish(),
      blobId: z.string().nullish(),
      lfs: z.object({ sha256: z.string() }).nullish(),
    }),
  ),
  cardData: z.looseObject({ configs: z.unknown() }).nullish(),
});
type Repository = z.infer<typeof repositorySchema>;

/** What is wanted of a repository: an adapter lies in one of models. */
export interface Wanted {
  type: SourceType;
  /** Which part of a data set. */
  split: string;
  subset?: string | undefined;
}

function choose({ type, path, repository }: HubSource, found: Repository, wanted: Wanted, asker: Asker): string[] {
  const names = found.siblings.map(({ rfilename }) => rfilename);
  if (type === 'dataset' && path === '') {
    return chooseSplit(names.filter(isDataFile), configurationsOf(found.cardData?.configs), wanted, asker);
  }
  const chosen = names.filter((name) => (type === 'model' ? isWanted[wanted.type](name) : name === path));
  if (chosen.length > 0) return chosen;
  const below = names.filter((name) => name.startsWith(`${path}/`) && isDataFile(name));
  // A folder is a data set of its own, as with data_dir of the `datasets` library: the card's globs begin elsewhere.
  if (type === 'dataset' && below.length > 0) {
    const inside = below.map((name) => name.slice(path.length + 1));
    return chooseSplit(inside, [], wanted, asker).map((name) => `${path}/${name}`);
  }
  const message = `${asker.field}: ${repository} at ${found.sha} holds no ${path === '' ? wanted.type : path}`;
  throw new TrainerError('InvalidConfiguration', message);
}

/** Lists the files of a source of the Hub at the commit that its revision names now. */
export async function listHub(
  source: HubSource,
  wanted: Wanted,
  asker: Asker,
  { endpoint, token }: SourceEnvironment['hub'],
): Promise<Listing> {
  const { type, repository, revision } = source;
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const askFor = (url: string): Ask => ({ url, headers: (given) => ({ ...given, ...authorization }) });
  const about = `${endpoint}/api/${type}s/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const answer = repositorySchema.safeParse(await getJson(askFor(about), asker));
  if (!answer.success) {
    const message = `${asker.field}: ${endpoint} does not answer as the Hub does: ${z.prettifyError(answer.error)}`;
    throw new TrainerError('InvalidConfiguration', message);
  }
  const { sha, siblings } = answer.data;
  const chosen = new Set(choose(source, answer.data, wanted, asker));
  const root = `${endpoint}/${type === 'dataset' ? 'datasets/' : ''}${repository}/resolve/${sha}`;
  const fileOf = ({ rfilename, size, blobId, lfs }: Repository['siblings'][number]): RemoteFile => ({
    path: checkPath(rfilename, asker),
    ask: askFor(`${root}/${rfilename.split('/').map(encodeURIComponent).join('/')}`),
    size: size ?? undefined,
    version: lfs?.sha256 ?? blobId ?? sha,
    sha256: lfs?.sha256,
    gitSha1: lfs ? undefined : (blobId ?? undefined),
  });
  return {
    origin: `${endpoint}/${type}/${repository}`,
    what: `${type} ${repository} at commit ${sha.slice(0, 7)}`,
    revision: sha,
    files: siblings.filter(({ rfilename }) => chosen.has(rfilename)).map(fileOf),
  };
}
