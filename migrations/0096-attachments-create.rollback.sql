set local lock_timeout = '5s';

drop table attachment_removals;

drop table attachment_chunks;

drop table attachments;

drop function attachments_note_removal();
