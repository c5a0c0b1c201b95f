"""An assistant for other programs and for the page of a sample, as OpenAI's interface of chats has it."""
