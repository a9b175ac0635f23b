-- The secret that signs the links to the audio of an account; the system scope has one, too. Made with the first link.

create table link_secret (
    account text not null primary key,
    secret text not null
) without rowid, strict;
