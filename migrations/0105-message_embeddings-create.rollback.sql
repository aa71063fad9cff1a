set local lock_timeout = '5s';

drop trigger if exists messages_add_embeddings on messages;

drop trigger if exists messages_drop_embeddings on messages;

drop trigger if exists messages_change_embeddings on messages;

drop function message_embeddings_disable();

drop function message_embeddings_enable(text, integer, boolean);

drop function message_embeddings_fill(text, bigint, bigint);

drop function message_embeddings_nearest(
    text[], bigint, real[], text, text, text, timestamptz, timestamptz, integer
);

drop function message_embeddings_change();

drop function message_embeddings_drop();

drop function message_embeddings_add();

drop table message_embeddings;

drop table embedding_models;
