-- Afterwards every request needs a user's token again.
set local lock_timeout = '5s';

alter table applications drop column act_as;
