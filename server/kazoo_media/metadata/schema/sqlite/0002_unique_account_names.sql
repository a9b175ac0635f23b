-- Accounts with the same name or realm have been renamed before this runs. Empty keys are not compared.

drop index account_name_key;
drop index account_realm_key;
create unique index account_name_key on account (name_key) where name_key <> '';
create unique index account_realm_key on account (realm_key) where realm_key <> '';
