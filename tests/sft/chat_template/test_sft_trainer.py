"""Labels of a real SFTTrainer: with ``--template trl``, what is scored is what it trains on."""

import pytest
from datasets import Dataset
from helpers.models import build
from helpers.trainer_conversations import said
from helpers.trainer_masks import make_tokenizer
from trl import SFTConfig, SFTTrainer

from curate.errors import UsageError
from curate.sft.chat_template.choose import choose_template
from curate.sft.chat_template.loss_mask import ChatEncoder
from curate.sft.examples import read_examples, scored_turns

ROWS = [
    {"messages": said("Hello", "I am fine.", "2 + 2", "4 é")},
    {"messages": said("2 + 2", "<think>\n2 and 2\n</think>\n\n4", "So?", "yes \n")},
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["qwen3", "llama3", "cohere2", "phi3"])
def test_the_labels_of_an_sft_trainer_are_the_scored_tokens(name, tmp_path):
    tokenizer = make_tokenizer(name)
    model = build("llama", vocab_size=len(tokenizer))
    options = {"use_cpu": True, "report_to": [], "max_length": None, "assistant_only_loss": True, "bf16": False}
    trainer = SFTTrainer(
        model, SFTConfig(str(tmp_path), **options), train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer
    )
    template = choose_template(tokenizer, "trl")
    for row, made in zip(ROWS, trainer.train_dataset, strict=True):
        (example,) = read_examples(row, "messages")
        rendered = template.render(example.conversation, scored_turns(example, "all"))
        (tokens,) = ChatEncoder(tokenizer).encode([rendered])
        assert tokens.ids.tolist() == made["input_ids"]
        trained = [label != -100 for label in made["labels"]]
        alone = [at for at, ours in enumerate(tokens.owner >= 0) if ours != trained[at]]
        texts = {rendered.text[slice(*tokens.spans[at])] for at in alone}
        assert texts <= {"\n"} and sum(trained) >= 8  # the line end behind the end of turn, which no model writes
        assert all(trained[at] for at in alone)


def test_a_template_that_trl_has_no_variant_of_is_an_error():
    tokenizer = make_tokenizer("llama3_1")
    with pytest.raises(UsageError, match="TRL has no training variant"):
        choose_template(tokenizer, "trl", model="m")
    marked = make_tokenizer("lfm2_2_5")
    assert choose_template(marked, "trl").source == marked.chat_template
