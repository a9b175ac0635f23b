"""What people read in the OpenAPI description: the introduction, the groups, the operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kazoo_media.audio.formats import ACCEPTED_TYPES, UNTYPED

INTRODUCTION = """\
Media for telephone systems: prompts, music on hold, text-to-speech and recordings, in the shape \
of Kazoo's Crossbar API v2.

**Log in** with `PUT /api_auth`. Send the `auth_token` of the answer in the header `X-Auth-Token` \
with every other request, or as `Authorization: Bearer`. Where no header can be sent, the query \
parameter `auth_token` replaces it. A token is valid for an hour.

**Envelopes.** What a request or an answer is about is in `data`. The other keys of an answer tell \
how it went: `status` is `success` or `error`. An error also has `error`, the HTTP status as a \
string, and `message`, a word for programs. Quote `request_id` when you report a problem.

**Two scopes.** An account has media of its own. System media, under `/media`, are shared by all \
accounts: each may read them, and only a superduper admin may change them.

**Ids.** In answers, the slash in the id of a prompt is percent-encoded: `fr-fr%2Fvm-enter_pass`. \
In a path, both this form and its second encoding name the media, so an id can be put into a path \
as any library does it.

**What works everywhere.** `HEAD` answers as `GET` does, without the body. A `POST` with the query \
parameter `verb` set to `PUT`, `PATCH` or `DELETE` stands for that method. `pretty_print=true` \
indents JSON. `accept=TYPE` counts instead of the header `Accept`.
"""

TAGS: Mapping[str, str] = {
    "Access": "Log in and get a token.",
    "Media": "The documents of an account's media: names, languages, what is known of the audio.",
    "Audio": "The audio of an account's media: upload, download, waveform.",
    "Prompts": "The media of an account by prompt and by language.",
    "Recordings": "Recorded calls.",
    "Speech": "The voices of text-to-speech.",
    "System": "The same operations on the media that all accounts share.",
    "Description": "This page.",
}
SYSTEM_TAG = "System"


@dataclass(frozen=True, slots=True)
class Text:
    """What people read about an operation.

    Attributes:
        tag: Its group in the scope of an account.
        name: Its `operationId`; the system scope has `System` in place of `{}`.
        summary: One line; the system scope has `system ` in place of `{}`.
    """

    tag: str
    name: str
    summary: str
    about: str


_PAGED = (
    " The rows come page by page: while an answer has `next_start_key`, send it as `start_key` to"
    " get the next page. With `paginate=false` all rows come at once."
)
_AS_CSV = " `accept=csv` in the query gives CSV instead."
_ERRORS_OF_AUDIO = (
    "\n\nErrors are JSON as everywhere (`ErrorEnvelope`). Their type is not listed below because"
    " many generated clients would then ask for JSON instead of audio."
)

_FILE = (
    "The body is audio, base64 text, or `multipart/form-data` or `multipart/mixed` with a JSON part"
    " before the file. Query fields and the JSON part become keys of the document. The API key of"
    " the account may replace the token, in HTTP Basic with the account id. A `text/plain` body of"
    " at most 16 KiB is stored as it is, and fetched with GET; it is not a recording."
)

TEXTS: Mapping[str, Text] = {
    "ListMedia": Text(
        "Media",
        "list{}Media",
        "List {}media",
        "Returns one row for each media that passes all filters, in the order of the ids."
        + _PAGED
        + _AS_CSV,
    ),
    "CreateMedia": Text(
        "Media",
        "create{}Media",
        "Create a {}media",
        "Creates a document. Upload its audio afterwards; with `media_source` set to `tts` the"
        " service speaks `tts.text` instead. With a `prompt_id` the media is a translation of that"
        " prompt, and its id is the language and the prompt id. Otherwise the service chooses an"
        " id, unless `id` names one.",
    ),
    "GetMedia": Text(
        "Media",
        "get{}Media",
        "Get the document of a {}media",
        "Returns the document. If the header `Accept` prefers audio to JSON, the answer is the"
        " audio instead, as under `/raw`.",
    ),
    "UpdateMedia": Text(
        "Media",
        "update{}Media",
        "Replace the document of a {}media",
        "Replaces the document; keys that are not sent are removed or get their defaults. The"
        " audio stays. A body of audio is not a document: it replaces the audio, as under `/raw`.",
    ),
    "PatchMedia": Text(
        "Media",
        "patch{}Media",
        "Change keys of a {}media",
        "Merges the keys that are sent into the document; null removes a key. The rest stays.",
    ),
    "DeleteMedia": Text(
        "Media",
        "delete{}Media",
        "Delete a {}media",
        "Deletes the document and its audio and returns the document as it was. A prompt, or any"
        " media with `hard_delete=true`, is removed for good. The id of other media stays taken"
        " until they are purged.",
    ),
    "ListRecordings": Text(
        "Recordings",
        "listRecordings",
        "List recordings",
        "Lists the recordings of an account, the newest first. Without `created_from` the list"
        " begins 31 days before its end: `created_to`, or now.",
    ),
    "ListUserRecordings": Text(
        "Recordings",
        "listUserRecordings",
        "List the recordings of a user",
        "Lists the recordings whose `owner_id` is the user, as the list of all recordings does.",
    ),
    "GetRecording": Text(
        "Recordings",
        "getRecording",
        "Get a recording",
        "Returns the document of a recording. If `Accept` or the query parameter `accept` prefers"
        " an audio type, it returns the audio, as the download of a media does, with ranges and"
        " `inline=true`; then a key may replace the token.",
    ),
    "DeleteRecording": Text(
        "Recordings",
        "deleteRecording",
        "Delete a recording",
        "Deletes the recording and returns its document. With `hard_delete=true` its audio is"
        " removed as well, otherwise it is kept until the account is purged.",
    ),
    "PutRecordingFile": Text(
        "Recordings",
        "putRecordingFile",
        "Send the file of a recording",
        "Makes a file a recording, or replaces the recording that has the name of the file. The"
        f" same bytes change nothing. {_FILE}",
    ),
    "PostRecordingFile": Text(
        "Recordings",
        "postRecordingFile",
        "Send the file of a recording by POST",
        f"The same as PUT, for recorders that send POST. {_FILE}",
    ),
    "DownloadRecordingFile": Text(
        "Recordings",
        "downloadRecordingFile",
        "Get the file of a recording",
        "Returns the audio of the recording that has the name, or a text that was stored under it."
        " The API key of the account may replace the token, as for PUT.",
    ),
    "CreateUpload": Text(
        "Recordings",
        "createUpload",
        "Begin a resumable upload",
        "Begins an upload of the tus protocol 1.0.0, which goes on after a break. Its URL is in the"
        " header Location. A body of the type `application/offset+octet-stream` is its first bytes;"
        " if they fail, nothing is kept. Complete, it is a recording. Use a tus client: generated"
        " clients send no such body.",
    ),
    "GetUploadOffset": Text(
        "Recordings",
        "getUploadOffset",
        "Ask where a resumable upload goes on",
        "Answers with the headers Upload-Offset and Upload-Length. A PATCH that still runs is taken"
        " over.",
    ),
    "AppendToUpload": Text(
        "Recordings",
        "appendToUpload",
        "Append to a resumable upload",
        "Appends the body, of the type `application/offset+octet-stream`, where the upload goes on."
        " What arrives of a body that breaks off is kept, and what fits of one that is too long,"
        " unless its Content-Length tells so before."
        " With its last byte the upload becomes a recording, whose `upload_id` is that of the"
        " upload.",
    ),
    "TerminateUpload": Text(
        "Recordings",
        "terminateUpload",
        "Discard a resumable upload",
        "Discards an upload that is not complete.",
    ),
    "DownloadRaw": Text(
        "Audio",
        "download{}Audio",
        "Download the audio of a {}media",
        "Returns the normalized audio if there is any, otherwise what was uploaded. `Accept`,"
        " `rendition` or an extension in the path (`/raw.mp3`, `/raw.wav`) choose between the two."
        " The answer has the type of the audio; a client that accepts only"
        " `application/octet-stream` gets the same bytes under that type."
        "\n\nA switch that cannot log in sends a playback key: as `key`, or as the password of HTTP"
        " Basic, with the id of the account as user name. It reads the audio of that account and of"
        " the system scope, but no recordings." + _ERRORS_OF_AUDIO,
    ),
    "DownloadNamed": Text(
        "Audio",
        "download{}AudioAs",
        "Download the audio of a {}media under a file name",
        "Returns the audio, as `/raw` does. Switches take the format of a file from the end of its"
        " URL, so this path ends with a file name. Only its extension counts." + _ERRORS_OF_AUDIO,
    ),
    "UploadRaw": Text(
        "Audio",
        "upload{}Audio",
        "Upload the audio of a {}media",
        "Stores the body as the audio of the media and returns the document. The old audio is"
        " replaced when all of the new is stored; an upload that fails changes nothing. If"
        " normalization is on, a converted copy is made as well, and downloads serve that one."
        f"\n\nWith the Content-Type `{UNTYPED[0]}` the service finds the type out from the bytes. A"
        " client that knows the type of the audio may name it:"
        f" {', '.join(f'`{each}`' for each in ACCEPTED_TYPES)}. The body may also be a form with"
        " one file (`multipart/form-data`), base64 text with the header"
        " `Content-Transfer-Encoding: base64`, or a data URL of the type `application/base64`.",
    ),
    "ListVersions": Text(
        "Audio",
        "list{}Versions",
        "List the earlier contents of a {}media",
        "Returns the contents that the media had before and that are kept, as the setting"
        " media.kept_versions says, the newest first. `/raw` with `version` returns their audio.",
    ),
    "RestoreMedia": Text(
        "Media",
        "restore{}Media",
        "Put back an earlier content or a deleted {}media",
        "With a `version` that content becomes the audio of the media, whose present audio becomes"
        " a version. Without one a deleted media is live again; prompts, and what was purged or"
        " deleted with `hard_delete`, are gone. A recording whose file name another one has by now"
        " stays deleted (409). Returns the document.",
    ),
    "CreateLink": Text(
        "Audio",
        "create{}Link",
        "Make a link to the audio of a {}media",
        "Returns a URL that anybody may fetch with `GET` or `HEAD`, without a token. It serves the"
        " audio that the media has now; when that is replaced or deleted, or the lifetime is over,"
        " or the operator ends all links of the account, it is answered with 404. The same audio"
        " has the same link, so a switch caches it once. Ranges, `ETag` and conditions work as for"
        " `/raw`, and `Cache-Control` has a `max-age` of a day or more.",
    ),
    "GetPeaks": Text(
        "Audio",
        "get{}Peaks",
        "Get the waveform of a {}media",
        "Returns the lowest and the highest sample of each bucket, from -127 to 127. peaks.js reads"
        " the whole body, wavesurfer.js its `data`.",
    ),
    "ListPrompts": Text(
        "Prompts",
        "list{}Prompts",
        "Count the translations of each {}prompt",
        "Returns one object: the keys are the ids of prompts, the values are how many"
        " translations they have." + _PAGED + _AS_CSV,
    ),
    "ListTranslations": Text(
        "Prompts",
        "list{}Translations",
        "List the translations of a {}prompt",
        "Returns the ids of the media that are translations of the prompt." + _PAGED + _AS_CSV,
    ),
    "ResolvePrompt": Text(
        "Prompts",
        "resolve{}Prompt",
        "Find the audio of a {}prompt for a language",
        "Returns the media that a caller of this language hears, with a link to its audio, and why"
        " nearer translations were passed over. `fr-CA` is followed by `fr`, then by `fr-fr` as the"
        " setting media.language_fallback says; the default language comes last. For each language"
        " the prompt of the account goes before the system prompt. If no translation has audio, the"
        " answer is 404.",
    ),
    "DownloadResolved": Text(
        "Prompts",
        "download{}Prompt",
        "Download the audio of a {}prompt for a language",
        "Returns the audio that `resolve` finds, in the format of the extension; the header"
        " `Content-Language` has its language. Switches send a playback key, as for `/raw`."
        + _ERRORS_OF_AUDIO,
    ),
    "ListLanguages": Text(
        "Prompts",
        "list{}Languages",
        "Count the {}media of each language",
        "Returns one object: the keys are languages, the values are how many media have them."
        " `missing` counts the media without a language." + _AS_CSV,
    ),
    "ListMediaByLanguage": Text(
        "Prompts",
        "list{}MediaByLanguage",
        "List the {}media of a language",
        "Returns the ids of the media in the language. The language `missing` stands for media"
        " without one." + _PAGED + _AS_CSV,
    ),
    "ListVoices": Text(
        "Speech",
        "list{}Voices",
        "List the voices for {}media",
        "Returns all voices of the speech engine that the service is set to use, for `tts.voice`."
        + _AS_CSV,
    ),
    "Authenticate": Text(
        "Access",
        "logIn",
        "Log in with an API key",
        "Returns a token for the account of the key. It is the `auth_token` of the answer.",
    ),
    "AuthenticateUser": Text(
        "Access",
        "logInAsUser",
        "Log in as a user",
        "Returns a token for a user of an account, as `logIn` does. `credentials` is the digest of"
        " the text `NAME:PASSWORD`. The account is named by `account_name` or `account_realm`.",
    ),
    "DescribeApi": Text(
        "Description",
        "describeApi",
        "Get this description",
        "Returns this description in OpenAPI 3.1. It needs no token.",
    ),
}
"""By the name of the rpc."""
