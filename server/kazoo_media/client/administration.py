"""The calls about settings, accounts and users."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.protobuf.struct_pb2 import Value

from kazoo_media.client.connection import Connection
from kazoo_media.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    settings_service_pb2,
    settings_service_pb2_grpc,
)


class AdministrationCalls:
    """What a client says about the service itself and who uses it."""

    _connection: Connection
    _settings: settings_service_pb2_grpc.SettingsServiceAsyncStub
    _accounts: account_service_pb2_grpc.AccountServiceAsyncStub

    async def get_settings(
        self, category: str = "", key: str = "", node: str = ""
    ) -> list[settings_service_pb2.Setting]:
        """Return the settings of a category, or one of them, as a node ("": any) sees them."""
        request = settings_service_pb2.GetSettingsRequest(category=category, key=key, node=node)
        response = await self._connection.unary(self._settings.GetSettings, request)
        return list(response.settings)

    async def set_setting(
        self, category: str, key: str, value: Value, node: str = ""
    ) -> settings_service_pb2.Setting:
        """Set a value for one node, "": the one that answers; null removes it."""
        request = settings_service_pb2.SetSettingRequest(
            category=category, key=key, value=value, node=node
        )
        return (await self._connection.unary(self._settings.SetSetting, request)).setting

    async def set_default_setting(
        self, category: str, key: str, value: Value
    ) -> settings_service_pb2.Setting:
        """Set the value for all nodes that have none of their own; null removes it."""
        request = settings_service_pb2.SetDefaultSettingRequest(
            category=category, key=key, value=value
        )
        return (await self._connection.unary(self._settings.SetDefaultSetting, request)).setting

    async def flush_settings(self) -> None:
        """Make every worker read the settings anew."""
        request = settings_service_pb2.FlushSettingsRequest()
        await self._connection.unary(self._settings.FlushSettings, request)

    async def create_account(
        self, request: account_service_pb2.CreateAccountRequest
    ) -> account_service_pb2.CreateAccountResponse:
        """Return a new account and its API key, which nobody can ask for again."""
        return await self._connection.unary(self._accounts.CreateAccount, request)

    async def get_account(self, account_id: str = "") -> account_service_pb2.Account:
        """Return an account, "": the caller's own."""
        request = account_service_pb2.GetAccountRequest(account_id=account_id)
        return (await self._connection.unary(self._accounts.GetAccount, request)).account

    async def list_accounts(
        self, ancestor_id: str = ""
    ) -> AsyncIterator[account_service_pb2.Account]:
        """Yield the accounts below an ancestor; "": below the caller, for superduper admins all."""
        request = account_service_pb2.ListAccountsRequest(ancestor_id=ancestor_id)
        async for page in self._connection.pages(self._accounts.ListAccounts, request):
            for account in page.accounts:
                yield account

    async def rotate_api_key(self, account_id: str = "") -> str:
        """Return the new API key of an account, "": the caller's own. All its tokens have ended;
        a client that had its own key replaced can not go on.
        """
        request = account_service_pb2.RotateApiKeyRequest(account_id=account_id)
        return (await self._connection.unary(self._accounts.RotateApiKey, request)).api_key

    async def put_user(
        self, name: str, password: str, account_id: str = ""
    ) -> account_service_pb2.User:
        """Return a user who may log in over REST, added or given this password; account "": the
        caller's own.
        """
        request = account_service_pb2.PutUserRequest(
            account_id=account_id, name=name, password=password
        )
        return (await self._connection.unary(self._accounts.PutUser, request)).user
