-- depends: 0054-runs-bound
-- A question has 10,000 characters, and each of its 20 answers 200.
set local lock_timeout = '5s';

create trigger run_approvals_prompt_size_check before insert or update of prompt on run_approvals
for each row when (length(new.prompt) > 10000) execute function refuse_value('prompt');

create trigger run_approvals_options_size_check before insert or update of options on run_approvals
for each row when (octet_length(new.options::text) > 32768) execute function refuse_value('options');

create trigger run_approvals_decision_size_check before insert or update of decision on run_approvals
for each row when (length(new.decision) > 200) execute function refuse_value('decision');

alter table run_approvals
add constraint run_approvals_approval_id_length_check check (greatest(length(approval_id), length(decided_by_user_id)) <= 255) not valid;
