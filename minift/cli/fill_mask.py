"""`minift fill-mask`: the best tokens for each [MASK] of a text."""

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="folder or Hub name of a masked language model")
    parser.add_argument("text", help='the text, such as "This is a great [MASK]."')
    parser.add_argument("--top_k", type=int, default=5, help="how many tokens to print [5]")


def run(options: argparse.Namespace) -> None:
    from minift.pipelines.pipeline import pipeline

    answers = pipeline("fill-mask", model=options.model)(options.text, top_k=options.top_k)
    masks = answers if isinstance(answers[0], list) else [answers]
    for number, best in enumerate(masks, 1):
        if len(masks) > 1:
            print(f"mask {number}")
        for answer in best:
            print(f"{answer['score']:.4f}  {answer['token_str']:<12}  {answer['sequence']}")
