"""The calls for settings, accounts and users."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from google.protobuf.struct_pb2 import Value

from kazoo_media.client.connection import Connection
from kazoo_media.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    settings_service_pb2,
    settings_service_pb2_grpc,
)


class AdministrationCalls:
    """The administrative calls of a client."""

    _connection: Connection
    _settings: settings_service_pb2_grpc.SettingsServiceAsyncStub
    _accounts: account_service_pb2_grpc.AccountServiceAsyncStub

    async def get_settings(
        self, category: str = "", key: str = "", node: str = ""
    ) -> list[settings_service_pb2.Setting]:
        """Return all settings, those of a category, or one, as they apply to a node.

        Args:
            node: "": the node that answers.
        """
        request = settings_service_pb2.GetSettingsRequest(category=category, key=key, node=node)
        response = await self._connection.unary(self._settings.GetSettings, request)
        return list(response.settings)

    async def set_setting(
        self, category: str, key: str, value: Value, node: str = ""
    ) -> settings_service_pb2.Setting:
        """Set a value for one node and return the setting.

        Args:
            value: null removes the value of the node.
            node: "": the node that answers.
        """
        request = settings_service_pb2.SetSettingRequest(
            category=category, key=key, value=value, node=node
        )
        return (await self._connection.unary(self._settings.SetSetting, request)).setting

    async def set_default_setting(
        self, category: str, key: str, value: Value
    ) -> settings_service_pb2.Setting:
        """Set the value for all nodes without a value of their own and return the setting.

        Args:
            value: null removes the value.
        """
        request = settings_service_pb2.SetDefaultSettingRequest(
            category=category, key=key, value=value
        )
        return (await self._connection.unary(self._settings.SetDefaultSetting, request)).setting

    async def flush_settings(self) -> None:
        """Make every worker read the settings again."""
        request = settings_service_pb2.FlushSettingsRequest()
        await self._connection.unary(self._settings.FlushSettings, request)

    async def create_account(
        self, request: account_service_pb2.CreateAccountRequest
    ) -> account_service_pb2.CreateAccountResponse:
        """Return a new account and its API key. The service does not return the key again."""
        return await self._connection.unary(self._accounts.CreateAccount, request)

    async def get_account(self, account_id: str = "") -> account_service_pb2.Account:
        """Return an account; with "", the caller's own."""
        request = account_service_pb2.GetAccountRequest(account_id=account_id)
        return (await self._connection.unary(self._accounts.GetAccount, request)).account

    async def list_accounts(
        self, ancestor_id: str = ""
    ) -> AsyncIterator[account_service_pb2.Account]:
        """Yield the accounts below an ancestor.

        Args:
            ancestor_id: "": the caller's own; for superduper admins all accounts are listed.
        """
        request = account_service_pb2.ListAccountsRequest(ancestor_id=ancestor_id)
        async for page in self._connection.pages(self._accounts.ListAccounts, request):
            for account in page.accounts:
                yield account

    async def rotate_api_key(self, account_id: str = "") -> str:
        """Replace the API key of an account, end all its tokens and return the new key.

        A client cannot make further calls after the key that it uses was replaced.

        Args:
            account_id: "": the caller's own account.
        """
        request = account_service_pb2.RotateApiKeyRequest(account_id=account_id)
        return (await self._connection.unary(self._accounts.RotateApiKey, request)).api_key

    async def create_playback_key(
        self, account_id: str = "", name: str = ""
    ) -> account_service_pb2.CreatePlaybackKeyResponse:
        """Add a key that reads an account's audio; the answer has its text, once.

        Args:
            account_id: "": the caller's own account.
            name: For people.
        """
        request = account_service_pb2.CreatePlaybackKeyRequest(account_id=account_id, name=name)
        return await self._connection.unary(self._accounts.CreatePlaybackKey, request)

    async def list_playback_keys(
        self, account_id: str = ""
    ) -> Sequence[account_service_pb2.PlaybackKey]:
        """Return the playback keys of an account, the oldest first.

        Args:
            account_id: "": the caller's own account.
        """
        request = account_service_pb2.ListPlaybackKeysRequest(account_id=account_id)
        answer = await self._connection.unary(self._accounts.ListPlaybackKeys, request)
        return answer.playback_keys

    async def delete_playback_key(self, key_id: str, account_id: str = "") -> None:
        """Remove a playback key.

        Args:
            account_id: "": the caller's own account.
        """
        request = account_service_pb2.DeletePlaybackKeyRequest(account_id=account_id, key_id=key_id)
        await self._connection.unary(self._accounts.DeletePlaybackKey, request)

    async def rotate_links(self, account_id: str = "") -> None:
        """End all links to the audio of an account.

        Args:
            account_id: "": the caller's own account.
        """
        request = account_service_pb2.RotateLinksRequest(account_id=account_id)
        await self._connection.unary(self._accounts.RotateLinks, request)

    async def put_user(
        self, name: str, password: str, account_id: str = ""
    ) -> account_service_pb2.User:
        """Add a user who may log in over REST, or change the password of an existing one.

        Args:
            account_id: "": the caller's own account.
        """
        request = account_service_pb2.PutUserRequest(
            account_id=account_id, name=name, password=password
        )
        return (await self._connection.unary(self._accounts.PutUser, request)).user
