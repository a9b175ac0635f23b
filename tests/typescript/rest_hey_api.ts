// Uploads a file and downloads it again by the client of @hey-api/openapi-ts. Usage: rest_hey_api.js URL API_KEY FILE
import { openAsBlob } from "node:fs";
import { readFile } from "node:fs/promises";
import { argv, stdout } from "node:process";
import { client } from "./generated/hey-api/client.gen.js";
import { createMedia, downloadAudio, getMedia, listMedia, logIn, uploadAudio } from "./generated/hey-api/sdk.gen.js";

const [url, apiKey, file] = argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl: `${url}/v2` });

const { data: login } = await logIn({ body: { data: { api_key: apiKey } }, throwOnError: true });
client.setConfig({ auth: (auth) => (auth.type === "apiKey" ? login.auth_token : undefined) });
const account_id: string = login.data.account_id;

const { data: created } = await createMedia({
  path: { account_id },
  body: { data: { name: "From hey-api", language: "fr-fr", prompt_id: "vm-hey" } },
  throwOnError: true,
});
const media_id: string = created.data.id;
const { data: uploaded } = await uploadAudio({
  path: { account_id, media_id },
  body: await openAsBlob(file),
  throwOnError: true,
});
const { data: downloaded } = await downloadAudio({ path: { account_id, media_id }, parseAs: "blob", throwOnError: true });
const read = Buffer.from(await downloaded.arrayBuffer());
if (!read.equals(await readFile(file))) throw new Error("what was downloaded differs");
const { data: list } = await listMedia({ path: { account_id }, query: { paginate: false }, throwOnError: true });
if (typeof list === "string") throw new Error("CSV was not asked for");
if (!list.data.some((row) => row.id === media_id)) throw new Error("the media is not in the list");
const { error } = await getMedia({ path: { account_id, media_id: "missing" } });
stdout.write(`${uploaded.data.content_type} ${read.length} ${error?.message}\n`);
