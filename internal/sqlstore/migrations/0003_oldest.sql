-- The oldest schema whose programs can work on this one. While a service is
-- brought up to date, instances of before are still started on the new schema; a
-- migration that takes away what they need raises this number.

ALTER TABLE gatehouse_schema ADD COLUMN oldest BIGINT NOT NULL DEFAULT 1;
