"""Authentication and permissions of calls."""

from __future__ import annotations

from kazoo_media.access.accounts import AdminScope, Caller, ReadScope, WriteScope
from kazoo_media.core import Core
from kazoo_media.errors import InvalidCredentialsError
from kazoo_media.rpc.fields import required
from kazoo_media.settings import CLIENT_NAMES
from kazoo_media.transport.client_certificates import client_names
from kazoo_media.transport.context import Call, Context, token_of


class Callers:
    """Authenticates callers by token, or else by client certificate, and returns permissions.

    The methods raise the errors of `Accounts`.
    """

    def __init__(self, core: Core) -> None:
        self._accounts = core.accounts
        self._settings = core.settings

    async def identify(self, context: Context) -> Caller:
        """Return the caller and record its account for the access log."""
        if token_of(context) is None:
            Call.note_client(client_names(context))
        caller = await self._caller(context)
        Call.note_account(caller.account.id)
        return caller

    async def recognize(self, context: Context) -> None:
        """Return if the caller is known."""
        await self._caller(context)

    async def may_read(self, context: Context, account_id: str) -> ReadScope:
        """Return the permission to read an account's media."""
        caller = await self.identify(context)
        return await self._accounts.read_scope(caller, required("account_id", account_id))

    async def may_write(self, context: Context, account_id: str) -> WriteScope:
        """Return the permission to change an account's media."""
        caller = await self.identify(context)
        return await self._accounts.write_scope(caller, required("account_id", account_id))

    async def may_administer(self, context: Context) -> AdminScope:
        """Return the permission to change the service."""
        return self._accounts.admin_scope(await self.identify(context))

    async def _caller(self, context: Context) -> Caller:
        token = token_of(context)
        if token is not None:
            return await self._accounts.authenticate(token)
        names = client_names(context)
        if not names:
            raise InvalidCredentialsError
        account_ids = await self._settings.get(CLIENT_NAMES)
        return await self._accounts.authenticate_client(names, account_ids)
