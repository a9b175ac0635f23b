"""AccountService."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import override

from kazoo_media.core import Core
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.convert import account_message, playback_key_message, user_message
from kazoo_media.rpc.paging import page_token, rows_of, start_of
from kazoo_media.transport.context import PEER_KEY, Call, Context, metadata_value
from kazoo_media.v1 import account_service_pb2 as pb
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceServicer


class AccountServicer(AccountServiceServicer):
    """The account tree, API keys and tokens."""

    def __init__(self, core: Core) -> None:
        self._callers = Callers(core)
        self._accounts = core.accounts
        self._users = core.users
        self._playback_keys = core.playback_keys
        self._links = core.links
        self._log_ins = core.log_ins

    @override
    async def CreateAccount(
        self, request: pb.CreateAccountRequest, context: Context
    ) -> pb.CreateAccountResponse:
        caller = await self._callers.identify(context)
        account, api_key = await self._accounts.create(
            caller,
            parent_id=request.parent_id,
            name=request.name,
            realm=request.realm,
            account_id=request.account_id,
            superduper_admin=request.superduper_admin,
        )
        return pb.CreateAccountResponse(account=account_message(account), api_key=api_key)

    @override
    async def GetAccount(
        self, request: pb.GetAccountRequest, context: Context
    ) -> pb.GetAccountResponse:
        caller = await self._callers.identify(context)
        account = await self._accounts.get(caller, request.account_id)
        return pb.GetAccountResponse(account=account_message(account))

    @override
    async def ListAccounts(
        self, request: pb.ListAccountsRequest, context: Context
    ) -> pb.ListAccountsResponse:
        caller = await self._callers.identify(context)
        rows = rows_of(request.page_size)
        accounts = await self._accounts.list_descendants(
            caller, request.ancestor_id, start_of(request.page_token), rows + 1
        )
        return pb.ListAccountsResponse(
            accounts=map(account_message, accounts[:rows]),
            next_page_token=page_token(accounts[rows].id if len(accounts) > rows else None),
        )

    @override
    async def RotateApiKey(
        self, request: pb.RotateApiKeyRequest, context: Context
    ) -> pb.RotateApiKeyResponse:
        caller = await self._callers.identify(context)
        api_key = await self._accounts.rotate_api_key(caller, request.account_id)
        return pb.RotateApiKeyResponse(api_key=api_key)

    @override
    async def PutUser(self, request: pb.PutUserRequest, context: Context) -> pb.PutUserResponse:
        caller = await self._callers.identify(context)
        user = await self._users.put(caller, request.account_id, request.name, request.password)
        return pb.PutUserResponse(user=user_message(user))

    @override
    async def CreatePlaybackKey(
        self, request: pb.CreatePlaybackKeyRequest, context: Context
    ) -> pb.CreatePlaybackKeyResponse:
        caller = await self._callers.identify(context)
        key, text = await self._playback_keys.add(caller, request.account_id, request.name)
        return pb.CreatePlaybackKeyResponse(playback_key=playback_key_message(key), key=text)

    @override
    async def ListPlaybackKeys(
        self, request: pb.ListPlaybackKeysRequest, context: Context
    ) -> pb.ListPlaybackKeysResponse:
        caller = await self._callers.identify(context)
        keys = await self._playback_keys.list(caller, request.account_id)
        return pb.ListPlaybackKeysResponse(playback_keys=map(playback_key_message, keys))

    @override
    async def DeletePlaybackKey(
        self, request: pb.DeletePlaybackKeyRequest, context: Context
    ) -> pb.DeletePlaybackKeyResponse:
        caller = await self._callers.identify(context)
        await self._playback_keys.remove(caller, request.account_id, request.key_id)
        return pb.DeletePlaybackKeyResponse()

    @override
    async def RotateLinks(
        self, request: pb.RotateLinksRequest, context: Context
    ) -> pb.RotateLinksResponse:
        caller = await self._callers.identify(context)
        account_id = request.account_id or caller.account.id
        await self._links.rotate(await self._accounts.write_scope(caller, account_id))
        return pb.RotateLinksResponse()

    @override
    async def IssueToken(
        self, request: pb.IssueTokenRequest, context: Context
    ) -> pb.IssueTokenResponse:
        peer = metadata_value(context, PEER_KEY) or ""
        login = await self._log_ins.with_key(peer, request.api_key)
        Call.note_account(login.account.id)
        return pb.IssueTokenResponse(
            token=login.token,
            account_id=login.account.id,
            expire_time=Timestamp(seconds=login.expires_s),
        )
