alter table blob add column normalization text;    -- preset and all else that decided; null: not known
